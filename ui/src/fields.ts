/** What can be read from an event's `data` without being told: numeric fields, a name, a capacity. */

type Data = Record<string, unknown>;

/** Members that hold what people call a thing, and how much fits into it; the first that is there counts. */
const nameMembers = ["name", "title", "label"];
const capacityMembers = ["maxspace", "capacity", "max"];
const depth_most = 4;

/** The value at a JSON Pointer (RFC 6901); undefined where there is none. The empty pointer is the whole. */
export function valueAt(data: unknown, pointer: string): unknown {
  if (pointer === "") return data;
  let value = data;
  for (const part of pointer.slice(1).split("/")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Data)[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return value;
}

/** The number at a pointer; text that holds one counts, since some sources send nothing else. 0 is a reading; null is none. */
export function numberAt(data: unknown, pointer: string): number | null {
  const value = valueAt(data, pointer);
  if (typeof value === "number") return value;
  if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))) return Number(value);
  return null;
}

/** Pointers of all numeric fields of these data, in the order in which they first appear. Numbers that are text come last. */
export function numericFields(all: Data[]): string[] {
  const numbers = new Set<string>();
  const texts = new Set<string>();
  const visit = (value: unknown, pointer: string, depth: number) => {
    if (typeof value === "number") numbers.add(pointer);
    else if (typeof value === "string" && numberAt(value, "") !== null) texts.add(pointer);
    else if (typeof value === "object" && value !== null && !Array.isArray(value) && depth < depth_most)
      for (const [name, inner] of Object.entries(value))
        visit(inner, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, depth + 1);
  };
  for (const data of all) visit(data, "", 0);
  return [...new Set([...numbers, ...texts])].filter((pointer) => pointer !== "");
}

/** The field to draw first: one that a window computes, else the first that is not the same for every key, else the first; numbers that only name something last. */
export function defaultField(all: Data[], windowFields: string[]): string | null {
  const fields = numericFields(all);
  const computed = windowFields.find((field) => fields.includes(field));
  if (computed !== undefined) return computed;
  const measured = fields.filter((field) => !/(\/|_)id$/.test(field));
  const varies = measured.find((field) => new Set(all.map((data) => numberAt(data, field))).size > 1);
  return varies ?? measured[0] ?? fields[0] ?? null;
}

export function nameIn(data: Data): string | null {
  for (const member of nameMembers) {
    const value = data[member];
    if (typeof value === "string" && value.trim() !== "") return value;
  }
  return null;
}

/** Null where there is none, or where it is 0: a thing that is not counted has no capacity. Only for fields that it can bound. */
export function capacityIn(data: Data, field: string): number | null {
  for (const member of capacityMembers) {
    const value = numberAt(data, `/${member}`);
    if (value !== null) return value > 0 && field !== `/${member}` && !/free/.test(field) ? value : null;
  }
  return null;
}

/** `/position/currentfill` as people read it: `position currentfill`. */
export function fieldLabel(field: string): string {
  return field.slice(1).split("/").join(" ").replaceAll("~1", "/").replaceAll("~0", "~").replaceAll("_", " ");
}
