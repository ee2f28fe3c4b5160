// The frontispiece in motion: tokens drawn from five Gaussians, moved by the maps that the page holds.
// Stands in place of the still, which stays for print, for readers without scripts and, until they
// ask, for those who want less motion.
document.querySelectorAll("script.film").forEach((script) => {
  const figure = document.getElementById(script.dataset.still);
  const still = figure && figure.querySelector("img");
  if (!still) return;
  const data = JSON.parse(script.textContent);
  const COLOURS = ["#4477aa", "#d9576b", "#2a8f3c", "#b08d1a", "#aa3377"];
  const SIDES = [
    ["clustering", "K = −Q: all flatten to one line"],
    ["blow_up", "A + Aᵀ ≻ 0: each explodes in its own direction"],
  ];
  const SECONDS = 8, HOLD = 1.5, TITLE = 26, FRAMES = data.clustering.length;

  const canvas = document.createElement("canvas");
  canvas.className = "film-canvas";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", still.alt);
  const bar = document.createElement("p");
  bar.className = "film-bar";
  const button = document.createElement("button");
  button.type = "button";
  const depth = document.createElement("input");
  Object.assign(depth, { type: "range", min: 0, max: 1000, value: 0 });
  depth.setAttribute("aria-label", "depth");
  bar.append(button, depth);
  const picture = still.closest("a") || still;
  picture.after(canvas, bar);
  picture.classList.add("film-still");

  let playing = false, seen = true, last = 0, clock = 0;

  const map = (side, start, at) => {
    const frame = Math.min(Math.floor(at), FRAMES - 2), part = at - frame;
    const a = data[side][frame][start], b = data[side][frame + 1][start];
    return [0, 1].map((i) => [0, 1].map((j) => a[i][j] * (1 - part) + b[i][j] * part));
  };
  const moved = (m, z) => [m[0][0] * z[0] + m[0][1] * z[1], m[1][0] * z[0] + m[1][1] * z[1]];

  function drawSide(pen, [side, title], box, at, ink) {
    const unit = Math.min((box.height - TITLE) / 6.6, box.width / 8.2);
    const middle = [box.left + box.width / 2, box.top + (box.height + TITLE) / 2];
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top + TITLE, box.width, box.height - TITLE);
    pen.clip();
    COLOURS.forEach((colour, start) => {
      const turn = Math.PI * (0.5 + (2 * start) / COLOURS.length);
      const centre = [middle[0] + 2.7 * unit * Math.cos(turn), middle[1] - 2.0 * unit * Math.sin(turn)];
      const place = ([x, y]) => [centre[0] + unit * x, centre[1] - unit * y];
      const m = map(side, start, at);
      pen.fillStyle = pen.strokeStyle = colour;
      pen.beginPath();
      for (let k = 0; k <= 72; k++) {
        const angle = (Math.PI * k) / 36;
        pen.lineTo(...place(moved(m, [Math.cos(angle), Math.sin(angle)])));
      }
      pen.globalAlpha = 0.16;
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 1.6;
      pen.stroke();
      pen.globalAlpha = 0.75;
      data.draws.forEach((z) => {
        const [x, y] = place(moved(m, z));
        pen.beginPath();
        pen.arc(x, y, 1.5, 0, 2 * Math.PI);
        pen.fill();
      });
      pen.globalAlpha = 1;
    });
    pen.restore();
    pen.fillStyle = ink;
    pen.font = `${box.width < 400 ? 13 : 16}px sans-serif`;
    pen.textAlign = "center";
    pen.fillText(title, middle[0], box.top + 17, box.width - 4); // never wider than its half
  }

  function draw() {
    const width = canvas.clientWidth, stacked = width < 560;
    const height = Math.round(stacked ? width * 1.6 : width * 0.47);
    const ratio = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const ink = getComputedStyle(bar).color;
    const at = ((FRAMES - 1) * depth.value) / 1000;
    SIDES.forEach((side, n) => {
      const box = stacked
        ? { left: 0, top: (n * height) / 2, width, height: height / 2 }
        : { left: (n * width) / 2, top: 0, width: width / 2, height };
      drawSide(pen, side, box, at, ink);
    });
  }

  function tick(now) {
    if (!playing) return;
    if (seen) {
      clock = (clock + Math.min(now - last, 100) / 1000) % (SECONDS + 2 * HOLD);
      depth.value = Math.round(1000 * Math.max(0, Math.min(1, (clock - HOLD) / SECONDS)));
      draw();
    }
    last = now;
    requestAnimationFrame(tick);
  }

  function play(on) {
    playing = on;
    button.textContent = on ? "Pause" : "Play";
    if (!on) return;
    picture.classList.add("film-hidden");
    canvas.classList.add("film-shown");
    last = performance.now();
    requestAnimationFrame(tick);
  }

  button.addEventListener("click", () => play(!playing));
  depth.addEventListener("input", () => {
    picture.classList.add("film-hidden");
    canvas.classList.add("film-shown");
    play(false);
    clock = HOLD + (SECONDS * depth.value) / 1000;
    draw();
  });
  window.addEventListener("resize", draw);
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; }).observe(figure);
  play(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
});
