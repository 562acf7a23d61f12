-- Sends one kind of request and checks the responses. Prints the figures as one line of JSON.
--
-- Environment variables: BENCH_METHOD, BENCH_PATHS (used in turn), BENCH_BODY (a file) and BENCH_STATUS. If
-- BENCH_ANSWER (a file with the expected body) or BENCH_PATTERN (a Lua pattern for the body) is set too, the script
-- compares the body of every response.

local function content(name)
    local path = os.getenv(name)
    if not path then return nil end
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

wrk.method = os.getenv("BENCH_METHOD")
wrk.body = content("BENCH_BODY")
if wrk.body then wrk.headers["content-type"] = "application/json" end

local paths = {}
for path in os.getenv("BENCH_PATHS"):gmatch("%S+") do paths[#paths + 1] = path end
wrk.path = paths[1]
-- If the script has no function `request`, `wrk` sends the same bytes repeatedly, which takes almost no time.
if #paths > 1 then
    local requests, at = {}, 0
    function init()
        for place, path in ipairs(paths) do requests[place] = wrk.format(nil, path) end
    end
    function request()
        at = at % #requests + 1
        return requests[at]
    end
end

local status, answer, pattern = tonumber(os.getenv("BENCH_STATUS")), content("BENCH_ANSWER"), os.getenv("BENCH_PATTERN")
wrong, shown = 0, ""
if answer or pattern then
    function response(got, _, body)
        if got ~= status or (answer and body ~= answer) or (pattern and not body:find(pattern)) then
            wrong = wrong + 1
            shown = got .. " " .. body:sub(1, 200)
        end
    end
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
    local wrongs, example, errors = 0, "", summary.errors
    for _, thread in ipairs(threads) do
        wrongs = wrongs + thread:get("wrong")
        if thread:get("shown") ~= "" then example = thread:get("shown") end
    end
    io.write(string.format(
        '\n{"requests":%d,"us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,"failed":%d,"broken":%d,"wrong":%d,"example":"%s"}\n',
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout, wrongs, (example:gsub('[^%w ,.:;{}()/-]', "'"))))
end
