import { useState } from "preact/hooks";
import { chart_names, charts_of_counts, charts_of_subgroups, type ControlCharts, type Definition } from "../control.js";

/** A new characteristic: what most need. Everything else can be changed over HTTP later (docs/http-api.md). */
export function CharacteristicForm({ control }: { control: ControlCharts }) {
  const [id, setId] = useState(String(Math.max(0, ...control.characteristics.map((c) => c.characteristic_id)) + 1));
  const [name, setName] = useState("");
  const [unit, setUnit] = useState("");
  const [path, setPath] = useState("");
  const [chart, setChart] = useState("i_mr");
  const [size, setSize] = useState("5");
  const [spec, setSpec] = useState({ lsl: "", target: "", usl: "" });
  const [given, setGiven] = useState(false);
  const [samples, setSamples] = useState("25");
  const [exclude, setExclude] = useState(false);
  const [centre, setCentre] = useState("");
  const [sigma, setSigma] = useState("");
  const [rules, setRules] = useState<string[]>(["nelson"]);
  const [stream, setStream] = useState("");
  const [value, setValue] = useState("");
  const [trouble, setTrouble] = useState("");
  const counts = charts_of_counts.has(chart);
  const subgroups = charts_of_subgroups.has(chart);
  // Each part of a short run brings its own; an EWMA and a CUSUM have rules of their own.
  const needs_sigma = !counts;
  const own_rules = chart === "ewma" || chart === "cusum";

  const definition = (): Definition => {
    const number = (text: string) => Number(text.replace(",", "."));
    const known = Object.entries(spec).filter(([, text]) => text !== "");
    return {
      id: Number(id),
      chart,
      ...(name ? { name } : {}),
      ...(unit ? { unit } : {}),
      ...(path ? { path } : {}),
      ...(subgroups || (counts && chart !== "c") ? { subgroup_size: Number(size) } : {}),
      ...(!counts && known.length > 0 ? { spec: Object.fromEntries(known.map(([name, text]) => [name, number(text)])) } : {}),
      ...(given ? { limits: { centre: number(centre), ...(needs_sigma ? { sigma: number(sigma) } : {}) } } : { phase1: { samples: Number(samples), exclude_out_of_control: exclude } }),
      ...(own_rules ? {} : { rules }),
      ...(stream ? { source: { stream, value } } : {}),
    };
  };
  const switched = (rule: string, on: boolean) => setRules(on ? [...rules, rule] : rules.filter((r) => r !== rule));

  return (
    <form
      class="make"
      aria-labelledby="make-title"
      onSubmit={async (event) => {
        event.preventDefault();
        setTrouble((await control.create(definition())) ?? "");
      }}
    >
      <h3 id="make-title">New characteristic</h3>
      <fieldset>
        <legend>What is watched</legend>
        <Field label="Number" value={id} set={setId} type="number" min={1} max={Number.MAX_SAFE_INTEGER} required />
        <Field label="Name" value={name} set={setName} placeholder="Bore diameter" />
        <Field label="Unit" value={unit} set={setUnit} placeholder="mm" maxLength={32} />
        <Field label="Path" value={path} set={setPath} placeholder="plant1/line2" />
      </fieldset>
      <fieldset>
        <legend>Chart</legend>
        <label>
          Kind
          <select value={chart} onChange={(event) => setChart(event.currentTarget.value)}>
            {Object.entries(chart_names).map(([kind, text]) => (
              <option key={kind} value={kind}>
                {text}
              </option>
            ))}
          </select>
        </label>
        {(subgroups || (counts && chart !== "c")) && <Field label={counts ? "Usually inspected" : "Readings a sample"} value={size} set={setSize} type="number" min={1} max={counts ? 1e9 : 1000} required />}
        {!own_rules &&
          [["nelson", "Nelson 1 to 8"], ["western_electric", "Western Electric 1 to 4"]].map(([rule, text]) => (
            <label key={rule} class="check">
              <input type="checkbox" checked={rules.includes(rule!)} onChange={(event) => switched(rule!, event.currentTarget.checked)} /> {text}
            </label>
          ))}
      </fieldset>
      <fieldset>
        <legend>Control limits</legend>
        <label class="check">
          <input type="radio" name="limits" checked={!given} onChange={() => setGiven(false)} /> from the first samples
        </label>
        <label class="check">
          <input type="radio" name="limits" checked={given} onChange={() => setGiven(true)} /> given
        </label>
        {given ? (
          <>
            <Field label={counts ? "Centre (fraction or rate)" : "Centre"} value={centre} set={setCentre} inputMode="decimal" pattern={decimal} required />
            {needs_sigma && <Field label="Sigma of a reading" value={sigma} set={setSigma} inputMode="decimal" pattern={decimal} required />}
          </>
        ) : (
          <>
            <Field label="How many" value={samples} set={setSamples} type="number" min={2} max={1000} required />
            <label class="check">
              <input type="checkbox" checked={exclude} onChange={(event) => setExclude(event.currentTarget.checked)} /> without those out of control
            </label>
          </>
        )}
      </fieldset>
      {!counts && (
        <fieldset>
          <legend>Specification, for capability</legend>
          {([["lsl", "Lower limit"], ["target", "Target"], ["usl", "Upper limit"]] as const).map(([member, text]) => (
            <Field key={member} label={text} value={spec[member]} set={(value) => setSpec({ ...spec, [member]: value })} inputMode="decimal" pattern={decimal} />
          ))}
        </fieldset>
      )}
      <fieldset>
        <legend>Samples come over HTTP, and from</legend>
        <Field label="Stream" value={stream} set={setStream} placeholder="none" />
        {stream && <Field label="Field" value={value} set={setValue} placeholder="/diameter" pattern="/.*" required />}
      </fieldset>
      <div class="control-foot">
        <button type="submit" class="primary">
          Create
        </button>
        <button type="button" class="quiet" onClick={() => control.make(false)}>
          Cancel
        </button>
      </div>
      {trouble && (
        <p class="warning" role="alert">
          {trouble}
        </p>
      )}
    </form>
  );
}

/** 0 and negative numbers are as good as any. */
const decimal = "[+\\-]?[0-9]+([.,][0-9]+)?([eE][+\\-]?[0-9]+)?";

function Field({ label, value, set, ...more }: { label: string; value: string; set: (value: string) => void } & Omit<preact.JSX.InputHTMLAttributes<HTMLInputElement>, "value" | "label">) {
  return (
    <label>
      {label}
      <input maxLength={255} {...more} value={value} onInput={(event) => set(event.currentTarget.value)} />
    </label>
  );
}
