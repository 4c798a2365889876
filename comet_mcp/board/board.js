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
      button.addEventListener("click", () => open(button.closest("tr")));
    });
    sort();
    filter();
  }

  // From here on: the page that can ask. `desk` is whom: the program that serves it, or the client that shows it.
  let desk = null;
  let chosen = null;
  let isBusy = false;
  let fills = 0;

  function tell(text) {
    at("message").hidden = !text;
    at("message").textContent = text;
  }

  // The HTML is made by the server, in which every name is text; no script in it would run.
  function put(html) {
    at("board").replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    const cells = document.querySelectorAll("#keys .changes");
    at("elsewhere").hidden = desk.canChange || !cells.length;
    if (!desk.canChange) cells.forEach((cell) => cell.remove());
    enhance();
  }

  async function fill(isNew) {
    const number = ++fills;
    at("reload").disabled = true;
    const got = await desk.read(isNew);
    if (number !== fills) return; // what was asked for later may be here already, and shows a change that this does not
    at("reload").disabled = false;
    tell(got.error || "");
    if (!got.error) put(got.html);
  }

  // What may be done to a key: a question, for where that of the tool is not put here, and the tool's arguments.
  const DOLLARS = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 9 });
  const CHANGES = {
    disable: (key) => [`Disable ${key}? Programs can't use it until it is enabled.`, { status: "disabled" }],
    enable: (key) => [`Enable ${key}? Programs can use it again.`, { status: "enabled" }],
    top_up: (key) => {
      const amount = at("amount").valueAsNumber;
      return amount > 0 ? [`Let ${key} spend ${DOLLARS.format(amount)} more?`, { add_budget_usd: amount }] : [];
    },
    end: (key) => {
      const day = at("day").value;
      return day ? [`Have ${key} end with the day ${day}?`, { lifetime: day }] : [];
    },
    rotate: (key) => [
      `Replace ${key} by a new key? The old one works for 24 hours more: by then programs need the new one.`, {},
    ],
    delete: (key) => [`Delete ${key} for good? Programs that use it stop working.`, {}],
  };
  const MISSING = {
    top_up: "Give the US dollars to add, such as 5 or 0.50.",
    end: "Give the day with which the key is to end.",
  };

  const named = ({ id, name }, word = "key") => `${word} ${id} ${JSON.stringify(name)}`;

  function begin(button) {
    const { action } = button.dataset;
    const [question, fields] = CHANGES[action](named(chosen));
    if (!question) return step("choose", MISSING[action]);
    const { tool } = button.closest("[data-tool]").dataset;
    return go(desk.begin({ tool, arguments: { id: Number(chosen.id), ...fields } }, question));
  }

  // What a tool says to a language model, for a person; what stands between quotation marks stays as it is.
  function plain(text) {
    const kept = [];
    let said = text.replace(/"(?:[^"\\]|\\.)*"/g, (quoted) => `\0${kept.push(quoted) - 1}\0`);
    for (const [words, instead] of JSON.parse(document.body.dataset.words)) {
      said = said.replace(new RegExp(words, "g"), instead);
    }
    said = said.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, local);
    return said.replace(/\0(\d+)\0/g, (_, number) => kept[number]).trim();
  }

  // A time in the zone of the page, which is the machine's own where it has no name that a browser knows.
  function local(time) {
    const form = { dateStyle: "short", timeStyle: "short" };
    const timeZone = at("keys") ? at("keys").dataset.zone : undefined;
    try {
      return new Date(time).toLocaleString("sv-SE", { ...form, timeZone });
    } catch {
      return new Date(time).toLocaleString("sv-SE", form);
    }
  }

  // What a tool has done, in lines; the value of a key is in none of them.
  function lines(key, { changed, deleted, note, steps, new_key: made, warnings = [] }) {
    if (deleted) return [`${key} was deleted.`, note];
    if (deleted === false) return [note];
    if (made) return [...steps, ...warnings, ...made.warnings || [], ...whereabouts(made.secret || {})];
    const all = Object.entries(changed).map(([field, text]) => `${field}: ${text}`);
    return all.length ? [`${key} was changed.`, ...all, ...warnings] : ["Nothing was to be changed."];
  }

  // The same as one text. A page that a client has kept may be of another version than the server.
  function told(key, result) {
    try {
      return lines(key, result).filter(Boolean).map(plain).join("\n");
    } catch {
      return "The tool gave an answer that this page does not know. Reload this page to see what was done.";
    }
  }

  function whereabouts({ path, needs, load }) {
    return [
      path && `Its value is in ${path}`,
      needs && `The program needs this too: ${needs}`,
      load && `A program gets it by: ${load}`,
    ];
  }

  // The dialog stands below the key, for what a client shows may be taller than the window that a person sees.
  function stand() {
    const free = innerHeight - at("change").offsetHeight - 8;
    at("change").style.marginTop = `${Math.max(8, Math.min(chosen.below, free))}px`;
  }

  function open(row) {
    if (!isBusy) {
      const { id, name, state } = row.dataset;
      const isOff = state === "disabled";
      chosen = { id, name, below: row.getBoundingClientRect().bottom };
      at("change-title").textContent = `Key ${id}: ${name}`;
      at("toggle").textContent = isOff ? "Enable" : "Disable";
      at("toggle").dataset.action = isOff ? "enable" : "disable";
      at("toggle").nextElementSibling.hidden = isOff;
      at("amount").value = at("day").value = "";
      const tools = at("keys").dataset.tools.split(" ");
      for (const choice of document.querySelectorAll("[data-tool]")) {
        choice.hidden = !tools.includes(choice.dataset.tool);
      }
      if ("unlimited" in row.dataset) at("topping").hidden = true;
      step("choose", "");
    }
    at("change").showModal();
    stand();
  }

  function step(name, text) {
    at("choose").hidden = name !== "choose";
    at("ask").hidden = name !== "ask";
    at("close").hidden = name === "ask";
    at("question").textContent = name === "ask" ? text : "";
    at("said").textContent = name === "ask" ? "" : text;
    if (at("change").open) stand();
    at(name === "ask" ? "no" : "close").focus();
  }

  function wait(isOn) {
    isBusy = isOn;
    document.querySelectorAll("#change button:not(#close)").forEach((button) => { button.disabled = isOn; });
    if (isOn) at("said").textContent = desk.waits;
  }

  async function go(work) {
    wait(true);
    const got = await work;
    wait(false);
    const isSeen = at("change").open;
    if (got.question) {
      if (isSeen) step("ask", got.question);
      else desk.answer(false);
      return;
    }
    const said = got.error ? plain(got.error) : told(named(chosen, "Key"), got.result);
    step(got.error ? "choose" : "done", said);
    if (!got.error) await fill(false);
    if (!isSeen) tell(said);
  }

  function leave() {
    if (!at("ask").hidden && !isBusy) desk.answer(false);
    (document.querySelector(`#keys tr[data-id="${chosen.id}"] .change`) || at("reload")).focus();
  }

  function serve(someone) {
    desk = someone;
    at("reload").hidden = false;
    at("reload").addEventListener("click", () => fill(true));
    at("close").addEventListener("click", () => at("change").close());
    at("change").addEventListener("close", leave);
    at("yes").addEventListener("click", ({ detail }) => {
      if (detail < 2) go(desk.answer(true)); // the second of a double click on what was there before is no answer
    });
    at("no").addEventListener("click", () => go(desk.answer(false)));
    for (const button of document.querySelectorAll("[data-action]")) {
      button.addEventListener("click", () => begin(button));
    }
    tell("Reading the keys ...");
    return fill(false);
  }

  // The live page, which asks the program that serves it; a tool's own question is put to the person here.
  async function live() {
    let session = "";
    let asked = 0; // the number of the question that is put here

    async function ask(path, body) {
      const answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Board-Session": session },
        body: JSON.stringify(body),
      }).catch(() => null);
      if (!answer) return { error: "cometapi-mcp board has ended. Start it again in the terminal." };
      return answer.json().catch(() => ({ error: "That was no answer. Start cometapi-mcp board again." }));
    }

    async function change(path, body) {
      const got = await ask(path, body);
      if (got.question) asked = got.number;
      return got;
    }

    const token = location.hash.slice(1);
    if (token) {
      history.replaceState(null, "", location.pathname);
      const got = await ask("session", { token });
      if (got.session) sessionStorage.setItem("session", got.session);
      else tell(got.error);
    }
    session = sessionStorage.getItem("session") || "";
    if (!session) return tell("This address served once. Run cometapi-mcp board again to see your keys.");
    return serve({
      canChange: true,
      waits: "Waiting ...",
      read: (isNew) => ask("board", { is_new: isNew }),
      begin: (call) => change("action", call),
      answer: (agrees) => change("answer", { agrees, number: asked }),
    });
  }

  // The page in a chat, which asks the client that shows it (MCP Apps). The tool may have the client ask once more.
  async function app() {
    const waiting = new Map();
    let sent = 0;
    let isOpened = false;
    let call = null;

    function send(message) {
      parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
    }

    function request(method, params) {
      const id = ++sent;
      send({ id, method, params });
      return new Promise((resolve) => { waiting.set(id, resolve); });
    }

    function hear({ source, data: told }) {
      if (source !== parent || !told || told.jsonrpc !== "2.0") return;
      if (told.method === "ui/notifications/tool-result") {
        if (isOpened) fill(); // the first is of the call that opened the page
        isOpened = true;
      } else if (told.method === "ui/resource-teardown") send({ id: told.id, result: {} });
      else if (!told.method && waiting.has(told.id)) {
        waiting.get(told.id)(told);
        waiting.delete(told.id);
      }
    }

    async function read() {
      const got = await request("resources/read", { uri: "ui://cometapi/board/content" });
      if (got.error) return { error: `The keys could not be read: ${got.error.message}` };
      return { html: got.result.contents[0].text };
    }

    async function work() {
      const got = await request("tools/call", { name: call.tool, arguments: call.arguments });
      const unsure = "Reload this page to see whether it was done.";
      if (got.error) return { error: `The client gave no answer of the tool: ${got.error.message}. ${unsure}` };
      const { isError, content, structuredContent: result } = got.result;
      if (isError) return { error: content.map(({ text }) => text || "").join(" ") || `The tool failed. ${unsure}` };
      return result ? { result } : { error: `The client passed no answer of the tool on. ${unsure}` };
    }

    addEventListener("message", hear);
    const host = await request("ui/initialize", {
      protocolVersion: "2026-01-26", appInfo: { name: "cometapi-board", version: "1" }, appCapabilities: {},
    });
    const { hostCapabilities = {} } = host.result || {};
    send({ method: "ui/notifications/initialized", params: {} });
    new ResizeObserver(() => {
      const height = Math.ceil(document.documentElement.getBoundingClientRect().height);
      send({ method: "ui/notifications/size-changed", params: { height } });
    }).observe(document.body);
    await serve({
      canChange: Boolean(hostCapabilities.serverTools),
      waits: "Waiting ... Your client may ask you once more.",
      read,
      begin: (wanted, question) => {
        call = wanted;
        return { question };
      },
      answer: (agrees) => (agrees ? work() : { error: "Nothing was done." }),
    });
  }

  if (mode === "live") live();
  else if (mode === "app") app();
  else enhance();
})();
