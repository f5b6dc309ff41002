componentize-py --wit-path wit --world closed-channels componentize guest --output plugin.wasm
