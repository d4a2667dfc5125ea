// Takes the pictures in docs/images: `node screenshots.mjs [http://127.0.0.1:8765/]`; without an address of the mock's page.
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { startMock } from "./mock/server.mjs";

const to = join(dirname(fileURLToPath(import.meta.url)), "../docs/images");
const mock = process.argv[2] ? null : await startMock();
const url = process.argv[2] ?? mock.url;
const args = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(" ");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
mkdirSync(to, { recursive: true });
const shots = [
  { name: "dashboard-light.png", viewport: { width: 1440, height: 960 }, colorScheme: "light", hash: "#key=SSD-7&range=24h", hover: 0.47 },
  { name: "dashboard-phone-dark.png", viewport: { width: 390, height: 1010 }, deviceScaleFactor: 2, colorScheme: "dark", hash: "#key=SSD-7&range=6h" },
];
for (const { name, hash, hover, ...context } of shots) {
  const page = await browser.newPage(context);
  await page.goto(url + hash);
  await page.waitForSelector('.plot[data-state="drawn"]');
  // Two looks at the feeds make a rate.
  await page.waitForTimeout(11_000);
  if (hover) {
    const over = await page.locator(".u-over").boundingBox();
    await page.mouse.move(over.x + over.width * hover, over.y + over.height * 0.4);
  }
  await page.screenshot({ path: join(to, name) });
  await page.close();
}
await browser.close();
await mock?.close();
