(() => {
  "use strict";
  const ledger = document.getElementById("page-ledger");
  const form = document.getElementById("page-filter");
  const tools = document.getElementById("page-tools");
  const sorted = document.getElementById("page-sorted");
  const parts = [...ledger.querySelectorAll(".part")];
  const entries = [...ledger.querySelectorAll(".part .ledger > li")].map((item, place) => ({
    item, place, home: item.parentElement, details: item.firstElementChild,
    text: item.querySelector("summary").textContent.toLowerCase() + " " + item.dataset.paperTitle.toLowerCase(),
    verdicts: item.dataset.verdicts.split(" ").filter(Boolean).map((one) => one.split(":")),
  }));
  const fields = ["text", "paper", "section", "source", "verdict", "sort"];
  const worstFirst = ledger.dataset.worstFirst.split(" ");
  const worst = (entry) => Math.min(...entry.verdicts.map(([, word]) => worstFirst.indexOf(word)), worstFirst.length);
  const orders = {
    "": (a, b) => a.place - b.place,
    name: (a, b) => a.details.id.localeCompare(b.details.id, "en"),
    verdict: (a, b) => worst(a) - worst(b) || a.place - b.place,
    effect: (a, b) => b.item.dataset.effect - a.item.dataset.effect || a.place - b.place,
  };

  const fits = (entry, chosen) =>
    (!chosen.text || chosen.text.toLowerCase().split(/\s+/).every((word) => entry.text.includes(word))) &&
    (!chosen.paper || entry.item.dataset.paper === chosen.paper) &&
    (!chosen.section || entry.item.dataset.section === chosen.section) &&
    ((!chosen.source && !chosen.verdict) || entry.verdicts.some(([source, word]) =>
      (!chosen.source || source === chosen.source) && (!chosen.verdict || word === chosen.verdict)));

  const chosenNow = () => Object.fromEntries(fields.map((name) => [name, form.elements[name].value.trim()]));

  function keepInAddress(chosen) {
    const query = new URLSearchParams(fields.filter((name) => chosen[name]).map((name) => [name, chosen[name]])).toString();
    history.replaceState(null, "", location.pathname + (query ? "?" + query : "") + location.hash);
  }

  function show() {
    const chosen = chosenNow();
    const order = orders[chosen.sort] || orders[""];
    const inOrder = [...entries].sort(order);
    for (const entry of inOrder) {
      entry.item.hidden = !fits(entry, chosen);
      (chosen.sort ? sorted : entry.home).append(entry.item);
    }
    for (const part of parts) part.hidden = Boolean(chosen.sort) || !part.querySelector(".ledger > li:not([hidden])");
    const count = entries.filter((entry) => !entry.item.hidden).length;
    tools.querySelector("output").textContent = count + " of " + entries.length + " claims";
    keepInAddress(chosen);
  }

  function readAddress() {
    const query = new URLSearchParams(location.search);
    for (const name of fields) {
      const field = form.elements[name], value = query.get(name) || "";
      field.value = value;
      if (field.value !== value) field.value = "";
    }
  }

  function followHash() {
    let name = location.hash.slice(1);
    try { name = decodeURIComponent(name); } catch { /* an address that was cut: taken as it is */ }
    const target = name && document.getElementById(name);
    if (!target) return;
    const entry = entries.find((one) => one.details === target);
    if (entry) {
      target.open = true;
      if (entry.item.hidden) { form.reset(); show(); }
    }
    target.scrollIntoView({ block: "start" });
  }

  form.hidden = tools.hidden = false;
  for (const kind of ["input", "change"]) form.addEventListener(kind, show);
  form.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("click", ({ target }) => {
    if (target.name === "clear") { form.reset(); show(); }
    if (target.name === "open" || target.name === "close") {
      for (const entry of entries) if (!entry.item.hidden) entry.details.open = target.name === "open";
    }
  });
  for (const entry of entries) {
    entry.details.querySelector("summary").addEventListener("click", () => {
      const opening = !entry.details.open;
      const here = location.pathname + location.search;
      history.replaceState(null, "", opening ? here + "#" + encodeURIComponent(entry.details.id) : here);
    });
  }
  addEventListener("hashchange", followHash);
  readAddress();
  show();
  followHash();
})();
