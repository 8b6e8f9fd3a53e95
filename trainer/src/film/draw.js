const film = JSON.parse(document.getElementById("film").textContent);
const { stage, moments } = film;
const last = moments.length - 1;
const at = (id) => document.getElementById(id);

/** An element with attributes and children; text is never read as markup. */
function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "path", "circle", "rect", "text", "title"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (value === null) continue;
        if (name === "style") Object.entries(value).forEach((pair) => element.style.setProperty(...pair));
        else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
}

const number = (value, digits = 2) => (value === null ? "not a number" : String(Number(value.toFixed(digits))));
const colour = (side) => ({ "--side": `var(--side-${side % 4})` });
// Names of bars in the order in which units have them: the first is drawn as a filling, others as arcs.
const bars = stage ? [...new Set(stage.figures.flatMap((figure) => figure.bars.map((bar) => bar.name)))] : [];
const barColour = (name, side) => {
    const k = bars.indexOf(name);
    return { "--bar": k > 0 ? `var(--bar-${1 + ((k - 1) % 3)})` : `var(--side-${side % 4})` };
};
const share = (value, bar) => Math.min(Math.max(value / bar.most, 0), 1);
const actionOf = (moment, agent) => (moment.step ? film.actions[moment.step.actions[agent]] : "");

// Where the units are during the episode, and of the field a margin: left, bottom, right, top.
function closeUp({ field, figures }, margin) {
    if (!figures.length) return [0, 0, ...field.size];
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const { units } of moments) {
        units.forEach(({ place }, k) => {
            const r = figures[k].radius;
            place.forEach((at, axis) => {
                const [low, high] = [Math.max(at - r - margin, 0), Math.min(at + r + margin, field.size[axis])];
                box[axis] = Math.min(box[axis], low, at - r);
                box[axis + 2] = Math.max(box[axis + 2], high, at + r);
            });
        });
    }
    return box;
}

// The same and all open ground, with one unit of the blocked ground around it.
function whole({ field, figures }) {
    const [width, height] = field.size;
    const holds = (x, y) => ([left, bottom, wide, high]) =>
        left <= x && x < left + wide && bottom <= y && y < bottom + high;
    const box = closeUp({ field, figures }, 0);
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
            if (field.blocked.some(holds(x, y))) continue;
            box[0] = Math.min(box[0], Math.max(x - 1, 0));
            box[1] = Math.min(box[1], Math.max(y - 1, 0));
            box[2] = Math.max(box[2], Math.min(x + 2, width));
            box[3] = Math.max(box[3], Math.min(y + 2, height));
        }
    }
    return box;
}

// The ground is drawn once; what moves, into the group that is returned.
function drawGround() {
    const { field } = stage;
    const [width, height] = field.size;
    const rect = (kind, x, y, w, h) => make("rect", { class: kind, x, y: -y - h, width: w, height: h });
    const svg = make("svg", { role: "img" });
    svg.append(rect("ground", 0, 0, width, height));
    svg.append(...field.blocked.map((block) => rect("blocked", ...block)));
    const border = rect(field.closed ? "border closed" : "border", 0, 0, width, height);
    border.setAttribute("stroke-width", 0.12);
    const moving = make("g");
    svg.append(border, moving);
    at("view").append(svg);
    const look = ([left, bottom, right, top], pad = 0.1) =>
        svg.setAttribute("viewBox", [left - pad, -top - pad, right - left + 2 * pad, top - bottom + 2 * pad].join(" "));
    return { svg, moving, look };
}

// A circle filled from below up to `level`, 0 to 1; y points down.
function filling(r, level) {
    if (level >= 1) return make("circle", { class: "stock", r });
    const angle = Math.acos(1 - 2 * level);
    const [x, y] = [r * Math.sin(angle), r * Math.cos(angle)];
    return make("path", { class: "stock", d: `M${-x} ${y}A${r} ${r} 0 ${level > 0.5 ? 1 : 0} 0 ${x} ${y}Z` });
}

// From the top, clockwise.
function arc(r, level, width, style) {
    const shared = { class: "arc", "stroke-width": width, style };
    if (level >= 1) return make("circle", { ...shared, r });
    const angle = 2 * Math.PI * level;
    const d = `M0 ${-r}A${r} ${r} 0 ${level > 0.5 ? 1 : 0} 1 ${r * Math.sin(angle)} ${-r * Math.cos(angle)}`;
    return make("path", { ...shared, d });
}

function drawUnit(unit, figure) {
    const r = figure.radius;
    const [x, y] = unit.place;
    const kind = unit.in_play ? "unit" : "unit fallen";
    const group = make("g", { class: kind, style: colour(figure.side), transform: `translate(${x} ${-y})` });
    const stocks = figure.bars.map((bar, k) => `${bar.name} ${number(unit.bars[k], 1)}/${number(bar.most, 1)}`);
    const fate = unit.in_play ? stocks.join(", ") : "fallen";
    group.append(make("title", {}, `${stage.sides[figure.side]} ${figure.label}, ${figure.kind}: ${fate}`));
    const line = Math.min(0.07, r / 5);
    group.append(make("circle", { class: "body", r }));
    if (unit.in_play) {
        const wide = Math.min(0.13, r / 4);
        figure.bars.forEach((bar, k) => {
            const level = share(unit.bars[k], bar);
            if (level <= 0) return;
            const inner = r - line - wide * (k - 0.5);
            group.append(k ? arc(inner, level, wide, barColour(bar.name, figure.side)) : filling(r, level));
        });
    } else {
        const c = r * 0.7;
        group.append(make("path", { class: "rim", "stroke-width": line, d: `M${-c} ${-c}L${c} ${c}M${-c} ${c}L${c} ${-c}` }));
    }
    group.append(make("circle", { class: "rim", r: r - line / 2, "stroke-width": line }));
    const size = Math.min(r * 1.1, (r * 2.3) / figure.label.length);
    const label = { class: "label", "font-size": size, "stroke-width": size / 5 };
    if (unit.in_play) group.append(make("text", label, figure.label));
    return group;
}

// A line from edge to edge, and its tip; an act that helps is dashed and ends in a plus.
function drawAct(units, k) {
    const { target } = units[k];
    if (!target || target.unit === k) return [];
    const [[x0, y0], [x1, y1]] = [units[k].place, units[target.unit].place];
    const length = Math.hypot(x1 - x0, y1 - y0);
    const [from, to] = [stage.figures[k].radius, length - stage.figures[target.unit].radius];
    const [dx, dy] = length > 0 ? [(x1 - x0) / length, (y1 - y0) / length] : [1, 0];
    const point = (along, aside) =>
        `${x0 + dx * along - dy * aside} ${-(y0 + dy * along + dx * aside)}`;
    const helps = target.helps;
    const shared = { class: helps ? "act helps" : "act", "stroke-width": 0.08, style: colour(stage.figures[k].side) };
    const tip = helps
        ? `M${point(to - 0.2, 0)}L${point(to + 0.2, 0)}M${point(to, 0.2)}L${point(to, -0.2)}`
        : `M${point(to - 0.35, 0.2)}L${point(to, 0)}L${point(to - 0.35, -0.2)}`;
    const dashes = helps ? "0.2 0.2" : null;
    const line = `M${point(from, 0)}L${point(Math.max(from, to), 0)}`;
    return [
        make("path", { ...shared, "stroke-dasharray": dashes, d: line }),
        make("path", { ...shared, "stroke-width": helps ? 0.14 : 0.08, d: tip }),
    ];
}

function drawPath(k, step) {
    const places = moments.slice(0, step + 1).map((moment) => moment.units[k].place);
    const d = "M" + places.map(([x, y]) => `${x} ${-y}`).join("L");
    return make("path", { class: "path", "stroke-width": 0.06, style: colour(stage.figures[k].side), d });
}

function drawScene(ground, step) {
    const { units } = moments[step];
    const all = units.map((_, k) => k);
    const acts = all.map((k) => drawAct(units, k)).filter((act) => act.length);
    const fallenFirst = [...all].sort((a, b) => units[a].in_play - units[b].in_play);
    // Lines go below the circles, whose labels they would hide, but for the few that help, which are
    // short; tips above, where circles touch.
    const below = acts.filter(([line]) => !line.classList.contains("helps"));
    const above = acts.filter(([line]) => line.classList.contains("helps"));
    const layers = [
        ...all.map((k) => drawPath(k, step)),
        ...below.map(([line]) => line),
        ...fallenFirst.map((k) => drawUnit(units[k], stage.figures[k])),
        ...below.map(([, tip]) => tip),
        ...above.flat(),
    ];
    ground.moving.replaceChildren(...layers);
    const counts = living(step).map(({ name, left, of }) => `${left} of ${of} ${name}`);
    ground.svg.setAttribute("aria-label", `Step ${step}: ${counts.join(", ")} left`);
}

function living(step) {
    return stage.sides.map((name, side) => {
        const mine = stage.figures.map((figure, k) => k).filter((k) => stage.figures[k].side === side);
        return { name, side, of: mine.length, left: mine.filter((k) => moments[step].units[k].in_play).length };
    });
}

function table(caption, head, rows) {
    const cells = (tag) => (cell) => (cell instanceof Node ? cell : make(tag, {}, cell));
    const heading = make("thead", {}, make("tr", {}, ...head.map(cells("th"))));
    const row = ({ kind, line }) => make("tr", { class: kind }, ...line.map(cells("td")));
    return make("table", {}, make("caption", {}, caption), heading, make("tbody", {}, ...rows.map(row)));
}

function gauge(unit, figure, name) {
    const k = figure.bars.findIndex((bar) => bar.name === name);
    if (k < 0) return "";
    const style = { ...barColour(name, figure.side), width: `${100 * share(unit.bars[k], figure.bars[k])}%` };
    return make("td", { class: "gauge" }, number(unit.bars[k], 1), make("i", { style }));
}

function sideTable(moment, name, side) {
    const mine = stage.figures.map((figure, k) => ({ figure, k })).filter(({ figure }) => figure.side === side);
    const had = bars.filter((bar) => mine.some(({ figure }) => figure.bars.some((own) => own.name === bar)));
    const acts = mine.some(({ figure }) => figure.agent !== null);
    const rows = mine.map(({ figure, k }) => {
        const unit = moment.units[k];
        const aim = unit.target ? (unit.target.helps ? "+ " : "") + stage.figures[unit.target.unit].label : "";
        const line = [figure.label, figure.kind, ...had.map((bar) => gauge(unit, figure, bar)), aim];
        if (acts) line.push(figure.agent === null ? "" : actionOf(moment, figure.agent));
        return { kind: unit.in_play ? null : "fallen", line };
    });
    return table(name, ["unit", "kind", ...had, "target", ...(acts ? ["action"] : [])], rows);
}

function tables(moment) {
    const seen = new Set(stage ? stage.figures.map((figure) => figure.agent) : []);
    const drawn = stage ? stage.sides.map((name, side) => sideTable(moment, name, side)) : [];
    const others = (moment.step ? moment.step.actions : []).map((_, agent) => agent).filter((agent) => !seen.has(agent));
    const rows = others.map((agent) => ({ kind: null, line: [String(agent), actionOf(moment, agent)] }));
    return rows.length ? [...drawn, table("actions", ["agent", "action"], rows)] : drawn;
}

function outcome() {
    if (film.won !== null) return film.won ? "Won" : "Lost";
    return { terminated: "Over", truncated: "Cut at the limit" }[film.end] ?? "Not played to its end";
}
