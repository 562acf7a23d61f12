"""Hook that adds the header `x-greeting` to every response, with the text from `carya.toml`."""

from carya_guest import Reply, after, setting_text


@after
def greet(reply: Reply) -> None:
    reply.set_header("x-greeting", setting_text("text"))
