// In front of many applications: /00042 is answered by the worker that is bound as a00042.
export default {
  fetch(request, env) {
    const application = env["a" + request.url.slice(request.url.indexOf("/", 8) + 1)];
    return application ? application.fetch(request) : new Response("not found\n", { status: 404 });
  }
};
