// The jobs of promises.

const jobs = [];

export function queue(job) {
  jobs.push(job);
}

// Runs jobs until none is left. A job may add further ones.
export function runJobs() {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) job();
}
