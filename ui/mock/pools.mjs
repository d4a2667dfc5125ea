// Simulated pools for the page's development and tests: names as a feed would send them, numbers invented. A value is a function
// of (key, time), so that history of any length costs nothing, and a restarted mock tells the same.

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const table = `
SSD-7|Hallenbad Oerlikon|200|indoor
SSD-4|Hallenbad City|220|indoor
SSD-2|Hallenbad Bläsi|70|indoor
SSD-3|Hallenbad Bungertwies|70|indoor
SSD-6|Hallenbad Leimbach|80|indoor
SSD-5|Wärmebad Käferberg|70|indoor
SSD-1|Hallenbad Altstetten|0|closed
SSD-8|Josel-Areal|200|indoor
SSD-10|Seebad Utoquai|800|lake
SSD-11|Freibad Seebach|2000|outdoor
LETZI-1|Freibad Letzigraben|3800|outdoor
fb006|Freibad Allenmoos|2500|outdoor
fb008|Freibad Auhof|2000|outdoor
fb012|Freibad Heuried|2600|outdoor
fb018|Freibad Zwischen den Hölzern|2000|outdoor
seb6946|Strandbad Mythenquai|4500|lake
seb6947|Strandbad Tiefenbrunnen|3500|lake
seb6948|Strandbad Wollishofen|700|lake
flb6939|Flussbad Oberer Letten|1000|lake
flb6940|Flussbad Unterer Letten|800|lake
flb8803|Flussbad Unterer Letten (Flussteil)|800|closed
flb6941|Frauenbad Stadthausquai|350|lake
IMBAD-1|Adliswil|2000|outdoor
WEYER-1|Bern|3500|outdoor
MARZ-1|Bern|15000|lake
WYLER-1|Bern|2500|outdoor
BADI-1|Enge|54|sauna
FREI-1|Entfelden|1300|outdoor
LIDO-1|Luzern|3500|lake
RISCH-1|Rotkreuz|600|lake
WEN-1|Wengen|70|closed
HUEN-1|Zug|1000|lake`;

export const pools = table.trim().split("\n").map((line, index) => {
  const [uid, name, maxspace, kind] = line.split("|");
  return { uid, name, maxspace: Number(maxspace), kind, index };
});

/** From 0 to 1, always the same for the same pair. */
function chance(a, b) {
  let x = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b | 0, 0xc2b2ae35);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 4294967296;
}

/** Smooth noise about 0, with that period. */
function noise(seed, time, period) {
  const at = time / period;
  const left = Math.floor(at);
  const part = at - left;
  const ease = part * part * (3 - 2 * part);
  const from = chance(seed, left);
  return from + (chance(seed, left + 1) - from) * ease - 0.5;
}

const shapes = {
  indoor: { level: 0.62, centre: 16, width: 4.2, second: 9 },
  outdoor: { level: 0.24, centre: 15.3, width: 2.6, second: null },
  lake: { level: 0.3, centre: 16.5, width: 2.9, second: null },
  sauna: { level: 0.9, centre: 19, width: 3.4, second: 11 },
};

/** Visitors now: people come by day (Zürich's, about an hour ahead of UTC), some days more than others. */
export function visitors(pool, time) {
  if (pool.kind === "closed") return 0;
  const shape = shapes[pool.kind];
  const local = ((time + hour) % day) / hour;
  const dayNumber = Math.floor((time + hour) / day);
  const bell = (centre) => Math.exp(-(((local - centre) / shape.width) ** 2));
  let crowd = bell(shape.centre) + (shape.second === null ? 0 : 0.55 * bell(shape.second));
  if (local < 6 || local > 22) crowd *= 0.04;
  const busy = 0.55 + 0.9 * chance(pool.index + 77, dayNumber);
  const swing = 1 + 0.5 * noise(pool.index, time, 35 * minute) + 0.22 * noise(pool.index + 40, time, 4 * minute);
  const people = Math.max(pool.maxspace, 1) * shape.level * busy * crowd * swing + 3 * noise(pool.index + 90, time, 20_000);
  return Math.max(0, Math.round(people));
}

/** The stations of a small line: two fields, no names, no capacity, decimals. */
export const stations = ["press-1", "press-2", "oven", "lathe"].map((key, index) => ({ key, index }));

export function measured(station, time) {
  const wander = noise(station.index + 200, time, 11 * minute) + 0.6 * noise(station.index + 210, time, 9_000);
  return {
    diameter_mm: Number((74 + 0.03 * wander + 0.002 * station.index).toFixed(4)),
    temperature_c: Number((61 + 4 * noise(station.index + 220, time, 50 * minute) + station.index * 3).toFixed(1)),
  };
}
