/** What a build is where runtimes and bundlers for edge workers import it. */
declare module 'halfspace/wasm/*' {
  const module: WebAssembly.Module;
  export default module;
}
declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
