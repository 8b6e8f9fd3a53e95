// Adds to a page that is whole without it: values under the pointer, curves and seeds that come and go.
const tip = document.getElementById('tip');
const tools = document.getElementById('tools');
tools.hidden = false;
document.getElementById('seeds').addEventListener('change', (event) => {
    document.body.classList.toggle('with-seeds', event.target.checked);
});

const short = (value) => {
    const size = Math.abs(value);
    const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
    return value.toFixed(digits).replace('-', '\u2212');
};

// The dot of a curve that is nearest to x.
const nearest = (dots, x) => dots.reduce((best, dot) =>
    best === null || Math.abs(dot[0] - x) < Math.abs(best[0] - x) ? dot : best, null);

for (const figure of document.querySelectorAll('figure')) {
    const svg = figure.querySelector('svg');
    const data = JSON.parse(figure.querySelector('script').textContent);
    const shown = data.curves.map(() => true);
    const curves = figure.querySelectorAll('g.curve');

    for (const item of figure.querySelectorAll('.legend li')) {
        const index = Number(item.dataset.curve);
        const button = document.createElement('button');
        button.type = 'button';
        button.setAttribute('aria-pressed', 'true');
        button.append(...item.childNodes);
        button.addEventListener('click', () => {
            shown[index] = !shown[index];
            button.setAttribute('aria-pressed', String(shown[index]));
            curves[index].classList.toggle('off', !shown[index]);
        });
        item.append(button);
    }

    const cursor = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    cursor.setAttribute('class', 'cursor');
    cursor.setAttribute('visibility', 'hidden');
    svg.append(cursor);
    const [left, right, top, bottom] = data.box;

    const leave = () => {
        tip.hidden = true;
        cursor.setAttribute('visibility', 'hidden');
    };
    svg.addEventListener('pointerleave', leave);
    svg.addEventListener('pointermove', (event) => {
        const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
        if (at.x < left || at.x > right || at.y < top || at.y > bottom) {
            leave();
            return;
        }
        const x = data.x[0] + (data.x[1] - data.x[0]) * (at.x - left) / (right - left);
        const found = data.curves.map((curve, index) => ({ ...curve, dot: shown[index] ? nearest(curve.dots, x) : null }));
        const present = found.filter((curve) => curve.dot !== null);
        if (present.length === 0) {
            leave();
            return;
        }
        const here = nearest(present.map((curve) => curve.dot), x)[0];
        const place = left + (right - left) * (here - data.x[0]) / (data.x[1] - data.x[0]);
        for (const [name, value] of [['x1', place], ['x2', place], ['y1', top], ['y2', bottom]]) {
            cursor.setAttribute(name, value);
        }
        cursor.setAttribute('visibility', 'visible');
        const heading = document.createElement('b');
        heading.textContent = here.toLocaleString('en').replaceAll(',', '\u202f');
        const lines = present.sort((a, b) => b.dot[1] - a.dot[1]).map((curve) => {
            const line = document.createElement('div');
            const mark = document.createElement('i');
            mark.className = `c${curve.colour}`;
            const [, y, low, high] = curve.dot;
            const range = low < high ? ` [${short(low)}, ${short(high)}]` : '';
            line.append(mark, `${curve.label}: ${short(y)}${range}`);
            return line;
        });
        tip.replaceChildren(heading, ...lines);
        tip.hidden = false;
        const width = tip.offsetWidth;
        const height = tip.offsetHeight;
        tip.style.left = `${Math.min(event.clientX + 14, innerWidth - width - 8)}px`;
        tip.style.top = `${Math.min(event.clientY + 14, innerHeight - height - 8)}px`;
    });
}
