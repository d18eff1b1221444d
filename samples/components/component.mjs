// Makes a component of a core module: node component.mjs MODULE WIT COMPONENT, beside npm's packages.
import { readFile, writeFile } from "node:fs/promises";
import { componentEmbed, componentNew } from "@bytecodealliance/jco";

const [module, wit, component] = process.argv.slice(2);
const typed = await componentEmbed({
  binary: await readFile(module),
  witSource: await readFile(wit, "utf8"),
  worldName: "hello",
});
await writeFile(component, await componentNew(typed, []));
