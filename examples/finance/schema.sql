-- Money is in whole US cents, counts are whole, days are indexes into trading_day.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trading_day (day INTEGER PRIMARY KEY, date TEXT NOT NULL UNIQUE);
CREATE TABLE sector (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE company (
    id INTEGER PRIMARY KEY,
    ticker TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    sector_id INTEGER NOT NULL REFERENCES sector (id),
    city TEXT NOT NULL,
    founded INTEGER NOT NULL,
    employees INTEGER NOT NULL,
    shares INTEGER NOT NULL,
    about TEXT NOT NULL
);
CREATE INDEX company_by_sector ON company (sector_id);
CREATE TABLE price (
    company_id INTEGER NOT NULL REFERENCES company (id),
    day INTEGER NOT NULL REFERENCES trading_day (day),
    open INTEGER NOT NULL,
    high INTEGER NOT NULL,
    low INTEGER NOT NULL,
    close INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    PRIMARY KEY (company_id, day)
) WITHOUT ROWID;
-- The last 252 trading days of each company, summed up once.
CREATE TABLE year_stat (
    company_id INTEGER PRIMARY KEY REFERENCES company (id),
    high INTEGER NOT NULL,
    low INTEGER NOT NULL,
    mean_volume INTEGER NOT NULL
);
-- Revenue and net income in thousands of dollars; eps_actual is NULL until reported.
CREATE TABLE earnings (
    company_id INTEGER NOT NULL REFERENCES company (id),
    quarter TEXT NOT NULL,
    report_date TEXT NOT NULL,
    revenue INTEGER,
    net_income INTEGER,
    eps_estimate INTEGER NOT NULL,
    eps_actual INTEGER,
    PRIMARY KEY (company_id, quarter)
) WITHOUT ROWID;
CREATE INDEX earnings_by_date ON earnings (report_date);
-- All companies together, weighted by what they are worth; 1000 points on the first day.
CREATE TABLE market_index (day INTEGER PRIMARY KEY, points REAL NOT NULL);
CREATE TABLE commodity (
    id INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    exchange TEXT NOT NULL,
    sector_id INTEGER NOT NULL REFERENCES sector (id),
    about TEXT NOT NULL
);
-- Hundredths of a cent: cotton costs less than a dollar a pound.
CREATE TABLE commodity_price (
    commodity_id INTEGER NOT NULL REFERENCES commodity (id),
    day INTEGER NOT NULL REFERENCES trading_day (day),
    close INTEGER NOT NULL,
    PRIMARY KEY (commodity_id, day)
) WITHOUT ROWID;
