// Leafing through a survey: filters, sorting, pages of 100, thumbnails and photographs with boxes.
// photos.js and boxes/N.js call overflight.photos() and overflight.boxes(): this works from the disk as from a server.
"use strict";
const overflight = (() => {
  const PER_PAGE = 100;
  const COLOURS = ["#4da3ff", "#ff9b4a", "#3ddc91", "#ff6fb1", "#b28dff", "#2fd3e6", "#ffe14a", "#c3ced9", "#ff6b5e", "#9be04f"];
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);
  let data = null;
  let shown = [];
  let page = 0;
  let at = -1;
  const chunks = new Map();
  const waiting = new Map();

  const element = (name, attributes = {}, text = "") => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  };
  const word = (column, row) => data.words[column].names[data.words[column].of[row]];
  const colour = (classId) => COLOURS[classId % COLOURS.length];
  const human = (name) => name.replaceAll("_", " ");
  const control = (name) => byId("filters").elements[name];

  function boxesOf(row, then) {
    const chunk = Math.floor(row / data.boxesPerFile);
    const give = () => then(chunks.get(chunk)[row % data.boxesPerFile]);
    if (chunks.has(chunk)) { give(); return; }
    if (waiting.has(chunk)) { waiting.get(chunk).push(give); return; }
    waiting.set(chunk, [give]);
    document.head.append(element("script", { src: `boxes/${chunk}.js` }));
  }

  function draw(into, row) {
    const [width, height] = data.size[row];
    if (!width || !height) return;
    const marked = new Set((data.findings[row] || []).flatMap((finding) => finding[3]));
    boxesOf(row, (boxes) => {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      boxes.forEach(([classId, x1, y1, x2, y2, index, ...corners]) => {
        const shape = document.createElementNS(SVG, corners.length ? "polygon" : "rect");
        const facts = corners.length ? { points: corners.join(" ") }
          : { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) };
        for (const [key, value] of Object.entries(facts)) shape.setAttribute(key, value);
        shape.style.stroke = classId < 0 ? "#bbb" : colour(classId);
        if (marked.has(index)) shape.style.strokeDasharray = "5 3";
        else if (classId < 0) shape.style.strokeDasharray = "1 3";
        const title = document.createElementNS(SVG, "title");
        title.textContent = classId < 0 ? "ignored region" : data.classes[classId];
        shape.append(title);
        svg.append(shape);
      });
      into.append(svg);
    });
  }

  function fill(select, names, all) {
    select.append(element("option", { value: "" }, all));
    for (const [value, text] of names) select.append(element("option", { value }, text));
  }

  function choose() {
    const flight = control("flight").value, classId = control("class").value;
    const check = control("check").value, part = control("name").value.toLowerCase();
    const column = data.numbers[control("sort").value], sign = control("down").checked ? -1 : 1;
    shown = [];
    for (let row = 0; row < data.photo.length; row += 1) {
      if (flight && word("flight", row) !== flight) continue;
      if (classId === "none" ? data.classIds[row].length : classId && !data.classIds[row].includes(Number(classId))) continue;
      if (check && !(data.findings[row] || []).some((finding) => finding[0] === check)) continue;
      if (part && !data.photo[row].toLowerCase().includes(part)) continue;
      shown.push(row);
    }
    if (column) {
      const unknown = (row) => column[row] === null;
      shown.sort((a, b) => unknown(a) - unknown(b) || sign * (column[a] - column[b]) || a - b);
    } else if (sign < 0) shown.reverse();
    page = 0;
    remember();
    render();
  }

  function remember() {
    const state = new URLSearchParams();
    for (const name of ["flight", "class", "check", "name", "sort"]) if (control(name).value) state.set(name, control(name).value);
    if (control("down").checked) state.set("down", "1");
    history.replaceState(null, "", `#${state}`);
  }

  function recall() {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const [name, value] of state) {
      if (name === "down") control("down").checked = true;
      else if (control(name)) control(name).value = value;
    }
  }

  function render() {
    const pages = Math.max(1, Math.ceil(shown.length / PER_PAGE));
    const sort = control("sort").value;
    byId("count").textContent = `${shown.length.toLocaleString("en")} of ${data.photo.length.toLocaleString("en")} photos`;
    document.querySelectorAll(".page").forEach((place) => { place.textContent = `page ${page + 1} of ${pages}`; });
    document.querySelectorAll("[data-turn]").forEach((button) => {
      const to = page + Number(button.dataset.turn);
      button.disabled = to < 0 || to >= pages;
    });
    byId("grid").replaceChildren(...shown.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map((row) => card(row, sort)));
  }

  function card(row, sort) {
    const figure = element("figure", { tabindex: "0", "data-row": row });
    const frame = element("span", { class: "frame" });
    if (data.thumb[row]) {
      frame.append(element("img", { src: `thumbs/${data.thumb[row]}`, loading: "lazy", alt: data.photo[row] }));
      draw(frame, row);
    } else frame.append(element("p", {}, word("fault", row) || "no picture"));
    const caption = element("figcaption");
    caption.append(element("b", {}, data.photo[row].split("/").pop()), ` · ${word("flight", row)}`);
    if (sort) caption.append(element("br"), `${human(sort)}: ${data.numbers[sort][row] ?? "unknown"}`);
    const codes = new Map((data.findings[row] || []).map((finding) => [finding[0], finding[1]]));
    if (codes.size) caption.append(element("br"));
    for (const [code, severity] of codes) caption.append(element("span", { class: severity }, `${code} `));
    figure.append(frame, caption);
    return figure;
  }

  function view(place) {
    if (place < 0 || place >= shown.length) return;
    at = place;
    const row = shown[place];
    const [width, height] = data.size[row];
    byId("name").textContent = data.photo[row];
    const fromDisk = location.protocol === "file:";
    const original = `${data.root}/${data.photo[row].split("/").map(encodeURIComponent).join("/")}`;
    const img = element("img", { src: fromDisk ? original : `full/${row}.jpg`, alt: data.photo[row] });
    img.addEventListener("error", () => { img.src = `thumbs/${data.thumb[row]}`; }, { once: true });
    if (width && height) img.style.aspectRatio = `${width} / ${height}`;
    byId("big").replaceChildren(...(data.thumb[row] ? [img] : [element("p", {}, `cannot be shown: ${word("fault", row)}`)]));
    if (data.thumb[row]) draw(byId("big"), row);
    byId("legend").replaceChildren(...data.classIds[row].map((classId) => {
      const item = element("span");
      item.append(element("i", { style: `background:${colour(classId)}` }), data.classes[classId]);
      return item;
    }));
    const words = ["flight", "site", "captured_at", "camera", "altitude_band", "time_of_day"].map((name) => `${human(name)} ${word(name, row) || "unknown"}`);
    const numbers = Object.entries(data.numbers).filter(([, column]) => column[row] !== null).map(([name, column]) => `${human(name)} ${column[row]}`);
    const lines = (data.findings[row] || []).map(([code, severity, what]) => element("div", { class: severity }, `${severity} ${code}: ${what}`));
    byId("facts").replaceChildren(...lines, element("div", {}, words.join(" · ")), element("div", {}, numbers.join(" · ")));
    if (!byId("viewer").open) byId("viewer").showModal();
  }

  function listen() {
    byId("filters").addEventListener("input", (event) => {
      if (event.target.name === "boxes") document.body.classList.toggle("noboxes", !event.target.checked);
      else choose();
    });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("click", (event) => {
      const turn = event.target.closest("[data-turn]"), step = event.target.closest("[data-step]"), figure = event.target.closest("figure");
      if (turn) { page += Number(turn.dataset.turn); render(); scrollTo(0, 0); }
      else if (step) view(at + Number(step.dataset.step));
      else if (figure) view(shown.indexOf(Number(figure.dataset.row)));
    });
    const toggle = (on) => { byId("toggle").checked = on; document.body.classList.toggle("noboxes", !on); control("boxes").checked = on; };
    byId("toggle").addEventListener("input", (event) => toggle(event.target.checked));
    byId("close").addEventListener("click", () => byId("viewer").close());
    document.addEventListener("keydown", (event) => {
      if (byId("viewer").open) {
        if (event.key === "ArrowLeft") view(at - 1);
        else if (event.key === "ArrowRight") view(at + 1);
        else if (event.key === "b") toggle(!byId("toggle").checked);
      } else if (event.key === "Enter" && event.target.matches("figure")) event.target.click();
    });
  }

  return {
    boxes(chunk, found) {
      chunks.set(chunk, found);
      for (const give of waiting.get(chunk) || []) give();
      waiting.delete(chunk);
    },
    photos(found) {
      data = found;
      document.title = data.title;
      byId("title").textContent = data.title;
      fill(control("flight"), data.words.flight.names.map((name) => [name, name]), "all flights");
      fill(control("class"), [...data.classes.map((name, id) => [id, name]), ["none", "without boxes"]], "all classes");
      const codes = new Map();
      for (const list of Object.values(data.findings)) for (const code of new Set(list.map((finding) => finding[0]))) codes.set(code, (codes.get(code) || 0) + 1);
      fill(control("check"), [...codes].sort().map(([code, count]) => [code, `${code} (${count})`]), "all photos");
      fill(control("sort"), Object.keys(data.numbers).map((name) => [name, human(name)]), "path");
      for (const option of control("sort").options) option.title = data.meaning[option.value] || "";
      listen();
      recall();
      choose();
    },
  };
})();
