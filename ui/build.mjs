// Bundles the page into dist/ and the client into clients/js/dist/. The same sources give the same bytes: versions are pinned by
// package-lock.json, names carry no hash, and nothing of the machine or the time enters.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const to = process.argv[2] ?? join(here, "dist");
const clientTo = process.argv[3] ?? join(here, "../clients/js/dist");
const alias = { "weir-client": join(here, "../clients/js/src/index.ts") };
const common = { absWorkingDir: here, bundle: true, format: "esm", target: "es2022", charset: "utf8", logLevel: "warning" };

rmSync(to, { recursive: true, force: true });
mkdirSync(join(to, "assets"), { recursive: true });
await build({
  ...common,
  entryPoints: { weir: "src/main.tsx" },
  outdir: join(to, "assets"),
  alias,
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: true,
  legalComments: "none",
  loader: { ".svg": "text" },
});
writeFileSync(join(to, "index.html"), readFileSync(join(here, "src/index.html")));
copyFileSync(join(here, "src/weir.svg"), join(to, "assets/weir.svg"));
copyFileSync(join(here, "src/notices.txt"), join(to, "assets/notices.txt"));

await build({ ...common, entryPoints: ["../clients/js/src/index.ts"], outfile: join(clientTo, "weir-client.js") });

for (const name of ["index.html", "assets/weir.js", "assets/weir.css", "assets/weir.svg"])
  console.log(`${String(statSync(join(to, name)).size).padStart(7)}  ${name}`);
