"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const mode = document.body.dataset.mode;

  // What a person looks for, kept while the page is filled anew.
  const view = { text: "", state: "", marked: false, column: -1, down: false, stack: "by-model" };

  const rows = () => [...document.querySelectorAll("#keys > tbody > tr")];

  function filter() {
    const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows()) {
      const text = row.textContent.toLowerCase();
      const fits = (!view.state || row.dataset.state === view.state)
        && (!view.marked || row.dataset.marks !== "0")
        && words.every((word) => text.includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    at("count").textContent = `${shown} of ${rows().length} keys`;
  }

  function compare(one, other) {
    const [a, b] = [one, other].map((row) => row.cells[view.column].dataset.by);
    const isNumber = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
    return (isNumber ? a - b : a.localeCompare(b)) * (view.down ? -1 : 1);
  }

  function sort() {
    if (view.column < 0) return;
    rows().sort(compare).forEach((row) => row.parentNode.append(row));
    document.querySelectorAll("#keys thead th").forEach((head, number) => {
      if (number === view.column) head.setAttribute("aria-sort", view.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  function makeSortable(head, number) {
    if (!head.textContent || head.querySelector(".unseen")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => {
      view.down = view.column === number && !view.down;
      view.column = number;
      sort();
    });
    head.replaceChildren(button);
  }

  function bind(id, event, take) {
    at(id).addEventListener(event, () => { take(at(id)); filter(); });
  }

  function enhance() {
    if (at("by-model")) {
      at(view.stack).checked = true;
      for (const id of ["by-model", "by-key"]) at(id).addEventListener("change", () => { view.stack = id; });
    }
    if (!at("keys")) return;
    document.querySelector(".tools").hidden = false;
    document.body.dataset.scripted = "";
    at("search").value = view.text;
    at("state").value = view.state;
    view.state = at("state").value;
    at("marked").checked = view.marked;
    bind("search", "input", (field) => { view.text = field.value; });
    bind("state", "change", (field) => { view.state = field.value; });
    bind("marked", "change", (field) => { view.marked = field.checked; });
    document.querySelectorAll("#keys thead th").forEach(makeSortable);
    document.querySelectorAll("#keys .change").forEach((button) => {
      button.addEventListener("click", () => open(button.closest("tr").dataset));
    });
    sort();
    filter();
  }

  // From here on: the live page, which asks the program that serves it.
  let session = "";
  let chosen = null;

  async function ask(path, body) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Board-Session": session },
      body: JSON.stringify(body || {}),
    }).catch(() => null);
    if (!answer) return { error: "cometapi-mcp board has ended. Start it again in the terminal." };
    return answer.json().catch(() => ({ error: "That was no answer. Start cometapi-mcp board again." }));
  }

  function tell(text) {
    at("message").hidden = !text;
    at("message").textContent = text;
  }

  async function fill(isNew) {
    at("reload").disabled = true;
    const got = await ask("board", { is_new: isNew });
    at("reload").disabled = false;
    tell(got.error || "");
    if (got.error) return;
    put(got.html);
  }

  // The HTML is made by the same program, in which every name is text; no script in it would run.
  function put(html) {
    at("board").replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    enhance();
  }

  function open(key) {
    chosen = key;
    at("change-title").textContent = `Key ${key.id}: ${key.name}`;
    const isOff = key.state === "disabled";
    at("toggle").textContent = isOff ? "Enable" : "Disable";
    at("toggle").dataset.action = isOff ? "enable" : "disable";
    at("toggle").nextElementSibling.hidden = isOff;
    at("amount").value = at("day").value = "";
    step("choose");
    at("change").showModal();
  }

  function step(name, text) {
    at("choose").hidden = name !== "choose";
    at("ask").hidden = name !== "ask";
    at("close").hidden = name === "ask";
    at("question").textContent = name === "ask" ? text : "";
    at("said").textContent = name === "ask" ? "" : text || "";
    if (name === "ask") at("no").focus();
    else if (name === "done") at("close").focus();
  }

  async function go(path, body) {
    const buttons = document.querySelectorAll("#change button");
    buttons.forEach((button) => { button.disabled = true; });
    at("said").textContent = "Waiting ...";
    const got = await ask(path, body);
    buttons.forEach((button) => { button.disabled = false; });
    if (got.question) return step("ask", got.question);
    if (got.error) return step("choose", got.error);
    step("done", got.done);
    await fill(false);
  }

  async function start() {
    const token = location.hash.slice(1);
    if (token) {
      history.replaceState(null, "", location.pathname);
      const got = await ask("session", { token });
      if (got.session) sessionStorage.setItem("session", got.session);
      else tell(got.error);
    }
    session = sessionStorage.getItem("session") || "";
    if (!session) return tell("This address served once. Run cometapi-mcp board again to see your keys.");
    at("reload").hidden = false;
    at("reload").addEventListener("click", () => fill(true));
    at("close").addEventListener("click", () => at("change").close());
    at("change").addEventListener("close", () => { if (!at("ask").hidden) ask("answer", { agrees: false }); });
    at("yes").addEventListener("click", () => go("answer", { agrees: true }));
    at("no").addEventListener("click", () => go("answer", { agrees: false }));
    for (const button of document.querySelectorAll("[data-action]")) {
      button.addEventListener("click", () => go("action", {
        action: button.dataset.action, id: Number(chosen.id), amount: at("amount").value, day: at("day").value,
      }));
    }
    tell("Reading the keys ...");
    await fill(false);
  }

  // And here: the page in a chat, which asks the client that shows it (MCP Apps).
  const waiting = new Map();
  let isOpened = false;

  function request(method, params) {
    const id = waiting.size + 1;
    parent.postMessage({ jsonrpc: "2.0", id, method, params }, "*");
    return new Promise((resolve) => { waiting.set(id, resolve); });
  }

  function notify(method, params) {
    parent.postMessage({ jsonrpc: "2.0", method, params }, "*");
  }

  function hear(event) {
    const told = event.data;
    if (event.source !== parent || !told || told.jsonrpc !== "2.0") return;
    if (told.method === "ui/notifications/tool-result") {
      if (isOpened) read(); // the first is of the call that opened the page
      isOpened = true;
    } else if (told.method === "ui/resource-teardown") parent.postMessage({ jsonrpc: "2.0", id: told.id, result: {} }, "*");
    else if (!told.method && waiting.has(told.id)) waiting.get(told.id)(told);
  }

  async function read() {
    at("reload").disabled = true;
    const got = await request("resources/read", { uri: "ui://cometapi/board/content" });
    at("reload").disabled = false;
    tell(got.error ? `The keys could not be read: ${got.error.message}` : "");
    if (!got.error) put(got.result.contents[0].text);
  }

  async function show() {
    addEventListener("message", hear);
    tell("Reading the keys ...");
    await request("ui/initialize", {
      protocolVersion: "2026-01-26", appInfo: { name: "cometapi-board", version: "1" }, appCapabilities: {},
    });
    notify("ui/notifications/initialized", {});
    new ResizeObserver(() => {
      notify("ui/notifications/size-changed", { height: Math.ceil(document.documentElement.getBoundingClientRect().height) });
    }).observe(document.body);
    at("reload").hidden = false;
    at("reload").addEventListener("click", read);
    await read();
  }

  if (mode === "live") start();
  else if (mode === "app") show();
  else enhance();
})();
