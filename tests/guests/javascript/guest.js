import { write } from "jackfield:host/log@0.1.0";

export const lifecycle = {
  init(config) {
    write("info", `javascript began with ${config}`);
  },
};

export const subscribe = {
  check(client, request) {
    if (request.channel === "private-js-closed") {
      return { tag: "refuse", val: { code: 403, message: "JavaScript keeps this channel closed" } };
    }
    return { tag: "pass" };
  },
};
