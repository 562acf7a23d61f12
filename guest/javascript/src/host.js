// Calls a function of the host. A failed one throws an error whose payload is a text.
export function hostCall(work) {
  try {
    return work();
  } catch (error) {
    throw typeof error?.payload === 'string' ? new Error(error.payload) : error;
  }
}
