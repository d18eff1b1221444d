using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [ (name = "good", worker = .good), (name = "bad", worker = .bad) ],
  sockets = [
    (name = "good", address = "127.0.0.1:@PORT@", http = (), service = "good"),
    (name = "bad", address = "127.0.0.1:@BAD_PORT@", http = (), service = "bad") ] );
const good :Workerd.Worker = (
  modules = [
    (name = "main.js", esModule = embed "workerd.js"),
    (name = "peers.wasm", wasm = embed "peers.wasm"),
    (name = "peers_echo.wasm", wasm = embed "peers_echo.wasm") ],
  compatibilityDate = "2026-01-01" );
const bad :Workerd.Worker = (
  modules = [
    (name = "main.js", esModule = embed "neighbour.js"),
    (name = "peers_bad.wasm", wasm = embed "peers_bad.wasm") ],
  compatibilityDate = "2026-01-01" );
