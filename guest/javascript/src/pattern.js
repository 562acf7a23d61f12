// Patterns of routes.

// Functions that register a function for a phase, by the interface of the contract.
export const DISPLAY = {
  'on-route': '`onRoute`',
  before: '`before`',
  after: '`after`',
  'on-error': '`onError`',
  model: '`init`',
};

// Throws an error if a pattern such as `/tickets/{id}` is malformed.
export function checkPattern(pattern) {
  const wrong = (message) => new TypeError(`the pattern ${JSON.stringify(pattern)}: ${message}`);
  if (typeof pattern !== 'string') throw wrong('a pattern is a text');
  if (!pattern.startsWith('/')) throw wrong(`a pattern begins with a slash: "/${pattern}"`);
  // eslint-disable-next-line no-control-regex
  if (/[\s\x00-\x1f\x7f]/.test(pattern)) throw wrong('a pattern contains no white space');
  const colon = pattern.split('/').find((segment) => segment.startsWith(':'))?.slice(1);
  if (colon !== undefined) throw wrong(`a parameter is written in braces: \`{${colon}}\` instead of \`:${colon}\``);
  const names = new Set();
  // `{{` and `}}` are braces of the path itself.
  let rest = pattern.replaceAll('{{', '').replaceAll('}}', '');
  for (let start = rest.search(/[{}]/); start >= 0; start = rest.search(/[{}]/)) {
    const found = /^\{([^}]*)\}(.*)$/.exec(rest.slice(start));
    if (found === null) throw wrong('a brace of a parameter is not closed, or not opened');
    const [, text, after] = found;
    const name = text.replace(/^\*/, '');
    if (name === '' || /[{*/]/.test(name)) throw wrong('a parameter needs a name: `{id}`, or `{*path}` for the rest of the path');
    if (name !== text && after !== '') throw wrong(`\`{*${name}}\` takes the rest of the path, so it must be the last part`);
    if (names.has(name)) throw wrong(`there are two parameters \`${name}\``);
    names.add(name);
    rest = after;
  }
}
