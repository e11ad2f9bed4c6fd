# The example worker in workerd. `--directory-path store=FOLDER` and `--socket-addr http=ADDRESS` name others.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "store", disk = (path = "store")),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "worker")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "halfspace.simd.wasm", wasm = embed "halfspace.simd.wasm"),
  ],
  bindings = [
    (name = "STORE", service = "store"),
    (name = "HOLDER", durableObjectNamespace = "Holder"),
    (name = "CACHE_BYTES", json = "50331648"),
    (name = "MODEL_BYTES", json = "33554432"),
  ],
  durableObjectNamespaces = [(className = "Holder", uniqueKey = "halfspace", preventEviction = true)],
  durableObjectStorage = (inMemory = void),
  compatibilityDate = "2026-01-01",
);
