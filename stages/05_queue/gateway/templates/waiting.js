"use strict";
// The server draws every state of the page; a script only saves its reader the refreshing.
const given = JSON.parse(document.getElementById("given").textContent);
const element = (id) => document.getElementById(id);
const local = (number) => number.toLocaleString(given.language);
const tell = (text, kind = "") => { element("status").textContent = text; element("status").className = kind; };
const TOKEN = "fortickets.token";

// Reloads once the gateway is there; until then the page stays. Not everybody comes at once.
function again() {
  setTimeout(async () => {
    try {
      if ((await fetch(location.href, { method: "HEAD" })).ok) {
        location.reload();
        return;
      }
    } catch {
      // no network, or no gateway: the page has said so already
    }
    again();
  }, 1000 * (given.againSeconds + 5 * Math.random()));
}

function watch() {
  const { words } = given;
  const events = new EventSource(given.ticket + "/events");
  const start = Number(sessionStorage.getItem(given.ticket) ?? given.position);
  sessionStorage.setItem(given.ticket, start);
  let spoken = null;

  function show(now) {
    const turn = now.status === "PROCESSING" && now.position === 0;
    const ahead = (now.position === 1 ? words.one : words.many).replace("{}", local(now.position));
    const minutes = now.etaSeconds >= 60;
    const wait = local(minutes ? Math.ceil(now.etaSeconds / 60) : now.etaSeconds);
    document.title = (turn ? words.turnTitle : words.title.replace("{}", local(now.position))) + " · ForTickets";
    element("heading").textContent = turn ? words.turnHeading : words.heading;
    element("line").hidden = turn;
    element("ahead").textContent = local(now.position);
    element("eta").textContent = (minutes ? words.minutes : words.seconds).replace("{}", wait);
    element("progress").hidden = false;
    element("progress").value = start ? 100 - (100 * now.position) / start : 100;
    // Not every step is worth interrupting a reader for.
    if (spoken === null || turn || now.position <= spoken * 0.8) {
      spoken = now.position;
      tell(turn ? words.turn : ahead);
    }
  }

  events.onmessage = (event) => {
    const now = JSON.parse(event.data);
    if (now.status === "WAITING" || now.status === "PROCESSING") {
      show(now);
    } else {
      events.close();
      location.reload();
    }
  };
  events.onerror = () => {
    spoken = null;
    tell(words.lost);
    if (events.readyState === EventSource.CLOSED) { // it was refused; a lost connection comes back by itself
      again();
    }
  };
  element("leave").hidden = false;
  element("leave-now").addEventListener("click", async () => {
    element("leave-now").disabled = true;
    try {
      const answer = await fetch(given.ticket, { method: "DELETE" });
      if (!answer.ok) {
        throw new Error(answer.status);
      }
      location.reload();
    } catch {
      tell(words.stays, "bad");
      element("leave-now").disabled = false;
    }
  });
}

async function pay() {
  const token = element("token").value.trim().replace(/^Bearer\s+/i, "");
  element("pay-now").disabled = true;
  try {
    const answer = await fetch("/order-service/payments", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "accept-language": given.language,
        "authorization": "Bearer " + token,
        "idempotency-key": "pay " + given.bookingIds.join(" "),
      },
      body: JSON.stringify({ userId: given.userId, bookingIds: given.bookingIds }),
    });
    const { message, data } = await answer.json();
    if (answer.ok) {
      sessionStorage.setItem(TOKEN, token);
      const query = new URLSearchParams({ orderId: data.paymentId, totalPrice: data.totalPrice });
      location.assign("/order-service/widget/checkout.html?" + query);
      return;
    }
    tell(message, "bad");
    if (answer.status === 401) {
      sessionStorage.removeItem(TOKEN);
      element("token").select();
    }
  } catch { // no network, or an answer that is none of ours; the key makes a second attempt the same one
    tell(given.unpaid, "bad");
  }
  element("pay-now").disabled = false;
}

if (given.ticket) {
  watch();
} else {
  element("heading").focus(); // the result, for who was sent here from the line
}
if (given.againSeconds && !given.ticket) {
  again();
}
if (given.bookingIds) {
  element("pay").hidden = false;
  element("token").value = sessionStorage.getItem(TOKEN) ?? "";
  element("pay").addEventListener("submit", (event) => {
    event.preventDefault();
    pay();
  });
}
