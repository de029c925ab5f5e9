// What every page shares: the view, kept in the address, and showing what needs a script.
// Other files call `remember` when a reader changes something, read `view`, and hear "viewchange" after Back or Forward.
"use strict";

const view = new URLSearchParams();

// "#row-a" or "#note-1" is a place on the page and leaves the view alone; "#sort-main=delta:ascending" is a view.
function readView() {
  const hash = location.hash.slice(1);
  if (hash && !hash.includes("=")) return false;
  for (const key of [...view.keys()]) view.delete(key);
  for (const [key, value] of new URLSearchParams(hash)) view.set(key, value);
  return true;
}

// An empty value is the default and leaves the address. `replace` makes no new step for the Back button.
function remember(key, value, replace = false) {
  if (value) view.set(key, value);
  else view.delete(key);
  const hash = view.toString();
  const address = hash ? "#" + hash : location.pathname + location.search;
  history[replace ? "replaceState" : "pushState"](null, "", address);
}

readView();
addEventListener("popstate", () => {
  if (readView()) document.dispatchEvent(new Event("viewchange"));
});
document.querySelectorAll(".needs-script").forEach((element) => (element.hidden = false));
