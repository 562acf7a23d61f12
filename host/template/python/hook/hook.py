"""Hook that logs each request and adds the header `x-{{name}}` to each response."""

from carya_guest import Reply, Request, after, before, log


@before
def note(request: Request) -> None:
    """Runs before the controller. If it raised, the error would be the response, and no controller would run."""
    log.info("%s %s", request.method, request.path)


@after
def mark(reply: Reply) -> None:
    """Runs after the controller. With a priority of 100 or more it runs inside the transaction, and errors roll back."""
    reply.set_header("x-{{name}}", "1")
