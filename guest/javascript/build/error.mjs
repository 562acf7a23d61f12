// Error of a build, which the user can correct. Its text is complete, so no stack is printed.
export class BuildError extends Error {}
