import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { Dashboard } from "./dashboard.js";
import { applyTheme, onSystemTheme } from "./theme.js";
import { Page } from "./view/page.js";

applyTheme();
const root = document.getElementById("page")!;
const draw = () => render(<Page dashboard={dashboard} />, root);
const dashboard = new Dashboard(new URL(".", location.href), draw);
onSystemTheme(() => {
  applyTheme();
  dashboard.changed();
});
draw();
dashboard.start();
