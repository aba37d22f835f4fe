// Keeps the prices inside [data-stream] up to date from the server's event stream.
(() => {
  const percent = (value) => {
    const text = Math.abs(100 * value).toFixed(2);
    const sign = text === "0.00" ? "" : value < 0 ? "\u2212" : "+";
    return `${sign}${text}\u202f%`;
  };
  const money = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

  const show = (place, quote) => {
    const price = place.querySelector("[data-price]");
    const change = place.querySelector("[data-change]");
    const text = money.format(quote.price);
    if (price.textContent !== text) {
      price.textContent = text;
      price.classList.remove("blink");
      void price.offsetWidth; // restarts the animation
      price.classList.add("blink");
    }
    change.textContent = percent(quote.change);
    change.className = quote.change > 0 ? "up" : quote.change < 0 ? "down" : "flat";
  };

  for (const area of document.querySelectorAll("[data-stream]")) {
    const places = new Map();
    for (const place of area.querySelectorAll("[data-ticker]")) places.set(place.dataset.ticker, place);
    let source;
    const open = () => {
      source = new EventSource(area.dataset.stream);
      source.addEventListener("quote", (event) => {
        for (const quote of JSON.parse(event.data)) {
          const place = places.get(quote.ticker);
          if (place) show(place, quote);
        }
      });
    };
    open();
    // A page in the background needs no connection.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) source.close();
      else if (source.readyState === EventSource.CLOSED) open();
    });
  }
})();
