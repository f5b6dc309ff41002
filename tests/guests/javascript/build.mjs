import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const { component } = await componentize({
  sourcePath: "guest.js",
  witPath: "wit",
  worldName: "closed-channels",
  disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
});
await writeFile("plugin.wasm", component);
