// Bundles the tests (they are TypeScript, as what they test) and runs them with node:test. `node test/run.mjs [part of a name ...]`
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folders = [here, join(here, "../../clients/js/test")];
const wanted = process.argv.slice(2);
const files = folders
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((file) => /\.test\.(ts|mjs)$/.test(file) && (wanted.length === 0 || wanted.some((part) => file.includes(part))));
// Beside node_modules, so that what stays outside the bundles is found from there.
const to = mkdtempSync(join(here, "../node_modules/.weir-test-"));
try {
  await build({
    entryPoints: files, outdir: to, outbase: join(here, "../.."), bundle: true, platform: "node", format: "esm", target: "node18", packages: "external",
    outExtension: { ".js": ".mjs" }, logLevel: "warning", sourcemap: "inline", absWorkingDir: join(here, ".."),
    alias: { "weir-client": join(here, "../../clients/js/src/index.ts") }, define: { __ui__: JSON.stringify(join(here, "..")) },
    external: ["*/mock/server.mjs"],
  });
  const built = readdirSync(to, { recursive: true }).map((name) => join(to, String(name))).filter((name) => name.endsWith(".mjs"));
  process.exitCode = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...built], { stdio: "inherit" }).status ?? 1;
} finally {
  rmSync(to, { recursive: true, force: true });
}
