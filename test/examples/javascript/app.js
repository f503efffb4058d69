// A server of wasi:http. Its top-level code ran when it was built; each request gets a new instance in that state.
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  return new Response(`hello from JavaScript, ${await request.text()}\n`);
}
