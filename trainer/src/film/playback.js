const ground = stage ? drawGround() : null;
if (ground) ground.look(closeUp(stage, 1.5));
const text = stage ? null : make("pre", { tabindex: "0" });
if (text) at("view").append(text);

let step = 0;
let timer = null;

function show(wanted) {
    step = Math.min(Math.max(wanted, 0), last);
    const moment = moments[step];
    if (ground) drawScene(ground, step);
    else text.textContent = moment.text;
    at("slider").value = step;
    at("slider").setAttribute("aria-valuetext", `step ${step} of ${last}`);
    at("step").textContent = step;
    at("reward").textContent = moment.step ? number(moment.step.reward) : "–";
    at("total").textContent = number(moment.total);
    at("total").value = moment.total;
    at("outcome").textContent = step === last ? outcome() : "";
    const counts = stage ? living(step) : [];
    at("living").replaceChildren(
        ...counts.map(({ name, side, left, of }) => {
            const swatch = make("span", { class: "swatch", style: colour(side) });
            return make("span", { "data-side": name, "data-left": left }, swatch, `${left} of ${of} ${name}`);
        }),
    );
    at("tables").replaceChildren(...tables(moment));
    at("back").disabled = step === 0;
    at("forward").disabled = step === last;
}

// While it plays, the address stays: each change would be one more thing for the browser to keep.
function remember() {
    try {
        history.replaceState(null, "", `#step=${step}`);
    } catch {
        // Some browsers refuse this for files; only the address lags behind then.
    }
}

function pause() {
    clearInterval(timer);
    timer = null;
    at("play").textContent = "Play";
    at("status").setAttribute("aria-live", "polite");
    remember();
}

function play() {
    if (step === last) show(0);
    clearInterval(timer);
    timer = setInterval(() => (step < last ? show(step + 1) : pause()), 1000 / Number(at("speed").value));
    at("play").textContent = "Pause";
    at("status").setAttribute("aria-live", "off");
}

function jump(wanted) {
    pause();
    show(wanted);
    remember();
}

function readAddress() {
    const asked = /^#step=(\d+)$/.exec(location.hash);
    if (asked) show(Number(asked[1]));
    return Boolean(asked);
}

const toggle = () => (timer === null ? play() : pause());
at("back").addEventListener("click", () => jump(step - 1));
at("forward").addEventListener("click", () => jump(step + 1));
at("play").addEventListener("click", toggle);
at("slider").addEventListener("input", () => jump(Number(at("slider").value)));
at("whole").hidden = !ground;
at("whole").addEventListener("click", () => {
    const now = at("whole").getAttribute("aria-pressed") !== "true";
    at("whole").setAttribute("aria-pressed", now);
    ground.look(now ? whole(stage) : closeUp(stage, 1.5));
});
at("speed").addEventListener("change", () => timer !== null && play());
addEventListener("hashchange", readAddress);
addEventListener("keydown", (event) => {
    const on = event.target;
    // What has a meaning of its own for these keys keeps it.
    if (event.altKey || event.ctrlKey || event.metaKey || on === at("speed")) return;
    if (event.key === " " && on.tagName === "BUTTON") return;
    const keys = {
        ArrowLeft: () => jump(step - 1),
        ArrowRight: () => jump(step + 1),
        Home: () => jump(0),
        End: () => jump(last),
        " ": toggle,
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
});

function legend() {
    const item = (swatch, name) => make("span", {}, swatch, name);
    const rows = bars.slice(1).map((name) => item(make("span", { class: "swatch bar", style: barColour(name, 0) }), `${name} (arc)`));
    const filled = bars.length ? [make("span", {}, `circle filled: ${bars[0]}`)] : [];
    const acts = moments.flatMap(({ units }) => units.map(({ target }) => target).filter(Boolean));
    const attack = acts.some(({ helps }) => !helps) ? [item(make("span", { class: "swatch act" }), "attacks")] : [];
    const help = acts.some(({ helps }) => helps) ? [item(make("span", { class: "swatch helps" }), "helps")] : [];
    return [...filled, ...rows, ...attack, ...help, make("span", {}, "thin line: path so far")];
}

const { credits } = film;
at("title").textContent = stage ? `${film.env} ${stage.title}` : film.env;
document.title = `${at("title").textContent}, ${credits.player}, seed ${credits.seed}`;
const length = last === 1 ? "1 step" : `${last} steps`;
at("credits").textContent =
    `${credits.player} from ${credits.source}, seed ${credits.seed}: ` +
    `${outcome().toLowerCase()} after ${length}, return ${number(moments[last].total)}`;
at("steps").textContent = last;
at("slider").max = last;
if (stage) at("legend").replaceChildren(...legend());
if (!readAddress()) show(0);
