using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "hello", worker = .hello) ],
  sockets = [ (name = "http", address = "127.0.0.1:@PORT@", http = (), service = "hello") ] );
const hello :Workerd.Worker = (
  modules = [
    (name = "main.js", esModule = embed "workerd.js"),
    (name = "peers.wasm", wasm = embed "peers.wasm"),
    (name = "peers_echo.wasm", wasm = embed "peers_echo.wasm") ],
  compatibilityDate = "2026-01-01" );
