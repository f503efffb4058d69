# A server of wasi:http. It has been imported when it was built, and each request is answered by a fresh copy of that.
from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        name = read(request).decode()
        response = OutgoingResponse(Fields.from_list([("content-type", b"text/plain")]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush(f"hello from Python, {name}\n".encode())
        OutgoingBody.finish(body, None)


def read(request: IncomingRequest) -> bytes:
    """The request's body."""
    body = b""
    with request.consume() as incoming, incoming.stream() as stream:
        while True:
            try:
                body += stream.blocking_read(64 * 1024)
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return body
                raise
