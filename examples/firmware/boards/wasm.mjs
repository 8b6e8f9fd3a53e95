// Runs a program of this folder: node boards/wasm.mjs FILE.wasm

import { readFileSync, writeSync } from "node:fs";
import process from "node:process";

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), {
    host: {
        write(at, length) {
            writeSync(1, new Uint8Array(instance.exports.memory.buffer, at, length));
        },
        exit(status) {
            process.exit(status);
        },
    },
});
instance.exports.main();
