using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "calls", worker = .calls) ],
  sockets = [ (name = "http", address = "127.0.0.1:@PORT@", http = (), service = "calls") ] );
const calls :Workerd.Worker = (
  modules = [
    (name = "main.js", esModule = embed "calls.js"),
    (name = "peers_calls.wasm", wasm = embed "peers_calls.wasm") ],
  compatibilityDate = "2026-01-01" );
