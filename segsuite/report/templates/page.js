"use strict";
(() => {
  const { figures, templates } = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const NARROW = 620;

  // A page from disk may not be allowed to remember anything.
  const remembered = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
                       set: (theme) => { try { localStorage.setItem("theme", theme); } catch { /* not remembered */ } } };
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");

  // ---- figures
  const assign = (target, path, value) => {
    const keys = path.split("."), last = keys.pop();
    keys.reduce((at, key) => (at[key] ??= {}), target)[last] = value;
  };
  const layoutOf = (plot, figure) => {
    const layout = structuredClone(figure.layout);
    if (plot.parentElement.clientWidth < NARROW)
      for (const [path, value] of Object.entries(figure.narrow)) assign(layout, path, structuredClone(value));
    layout.template = templates[theme()];
    layout.autosize = true;
    return layout;
  };
  const dataOf = (figure) => structuredClone(figure.data).map((trace) =>
    trace.type === "heatmap" ? { ...trace, colorscale: templates[theme()].layout.colorscale[trace.meta] } : trace);
  const config = { responsive: true, displayModeBar: false, scrollZoom: false };
  const draw = (plot) => {
    const name = plot.dataset.figure, figure = figures[name], layout = layoutOf(plot, figure);
    plot.style.minHeight = `${layout.height}px`;
    plot.dataset.narrow = plot.parentElement.clientWidth < NARROW;
    // A tap on a phone shows the value; dragging there must scroll the page.
    layout.dragmode = window.matchMedia("(pointer: coarse)").matches ? false : "zoom";
    return Plotly.react(plot, dataOf(figure), layout, config).then(() => { plot.dataset.drawn = "yes"; });
  };
  const redraw = () => plots.filter((plot) => plot.dataset.drawn).map(draw);
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "600px" });
  plots.forEach((plot) => near.observe(plot));
  window.addEventListener("resize", () => plots.forEach((plot) => {
    if (plot.dataset.drawn && String(plot.parentElement.clientWidth < NARROW) !== plot.dataset.narrow) draw(plot);
  }));

  document.querySelectorAll(".save").forEach((button) => button.addEventListener("click", () => {
    const plot = plots.find((one) => one.dataset.figure === button.dataset.figure);
    Plotly.downloadImage(plot, { format: "svg", filename: button.dataset.figure, width: plot.clientWidth, height: plot.clientHeight });
  }));

  // ---- light and dark
  if (["light", "dark"].includes(remembered.get())) root.dataset.theme = remembered.get();
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    remembered.set(root.dataset.theme);
    redraw();
  });
  dark.addEventListener("change", redraw);

  // ---- printing: on white, everything drawn and unfolded
  let before;
  window.addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
    plots.forEach(draw);
  });
  window.addEventListener("afterprint", () => {
    if (before) root.dataset.theme = before; else delete root.dataset.theme;
    redraw();
  });

  // ---- sorting
  const sortBy = (header) => {
    const table = header.closest("table"), body = table.tBodies[0], column = header.cellIndex;
    const down = header.getAttribute("aria-sort") ? header.getAttribute("aria-sort") === "ascending" : header.classList.contains("number");
    const value = (row) => row.cells[column].dataset.value;
    const compare = (a, b) => {
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);  // what is missing goes last
      const order = header.classList.contains("number") ? Number(a) - Number(b) : a.localeCompare(b);
      return down ? -order : order;
    };
    [...body.rows].sort((a, b) => compare(value(a), value(b))).forEach((row) => body.append(row));
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  document.querySelectorAll(".sortable thead th").forEach((header) =>
    header.querySelector("button").addEventListener("click", () => sortBy(header)));

  // ---- pictures
  const press = (group, chosen) => group.querySelectorAll("button").forEach((button) =>
    button.setAttribute("aria-pressed", String(button === chosen)));
  document.querySelectorAll(".pictures").forEach((box) => {
    const group = box.querySelector(".switch");
    group.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => {
      box.dataset.mode = button.dataset.mode;
      press(group, button);
    }));
  });
  const zoom = document.getElementById("zoom"), picture = document.getElementById("zoom-picture");
  const choice = document.getElementById("zoom-choice");
  const enlarge = (tiles, at) => {
    const image = tiles[0].querySelector(".shown"), ratio = image.width ? image.naturalWidth / image.naturalHeight : 1;
    picture.style.aspectRatio = String(ratio);
    picture.style.width = `min(100%, calc((96vh - 14rem) * ${ratio}))`;
    const show = (place) => {
      const tile = tiles[place], overlay = tile.querySelector(".overlay");
      const errors = overlay && tile.closest(".pictures").dataset.mode === "errors";
      const shown = (errors ? tiles[0] : tile).querySelector(".shown").cloneNode();
      picture.replaceChildren(...(errors ? [shown, overlay.cloneNode()] : [shown]));
      document.getElementById("zoom-title").textContent = [tile.dataset.title, tile.dataset.note].filter(Boolean).join(", ");
      press(choice, choice.children[place]);
      at = place;
    };
    choice.replaceChildren(...tiles.map((tile, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = tile.dataset.title;
      button.addEventListener("click", () => show(place));
      return button;
    }));
    zoom.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) { event.preventDefault(); show((at + step + tiles.length) % tiles.length); }
    };
    show(at);
    zoom.showModal();
  };
  document.querySelectorAll(".row").forEach((row) => {
    const tiles = [...row.querySelectorAll(".tile")];
    tiles.forEach((tile, at) => tile.querySelector("button").addEventListener("click", () => enlarge(tiles, at)));
  });
  document.getElementById("zoom-close")?.addEventListener("click", () => zoom.close());
  zoom?.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });
})();
