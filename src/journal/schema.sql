-- One row for each run.
CREATE TABLE runs (
  run INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  started INTEGER NOT NULL,          -- milliseconds since 1970, as all times here
  runtime TEXT NOT NULL,
  tasks INTEGER NOT NULL,
  options TEXT NOT NULL,             -- JSON
  stops INTEGER NOT NULL DEFAULT 0,  -- how often somebody asked for its end since it was last begun
  stop_reason TEXT
);

-- What was asked for. Texts above 512 bytes stand in `texts`; a record then says {"sha256": ...} in their place.
CREATE TABLE tasks (
  place INTEGER PRIMARY KEY,         -- run * 2^32 + task: SQLite adds rows behind the last one most quickly so
  run INTEGER GENERATED ALWAYS AS (place >> 32),
  task INTEGER GENERATED ALWAYS AS (place & 0xffffffff),  -- from 0 on
  id TEXT NOT NULL,
  agent_type TEXT NOT NULL,
  body TEXT NOT NULL                 -- JSON
);

-- What happened.
CREATE TABLE facts (
  place INTEGER PRIMARY KEY,         -- run * 2^32 + no
  run INTEGER GENERATED ALWAYS AS (place >> 32),
  no INTEGER GENERATED ALWAYS AS (place & 0xffffffff),    -- from 1 on, without gaps
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  task INTEGER,
  body TEXT NOT NULL                 -- JSON
);

-- Long texts, each once.
CREATE TABLE texts (hash TEXT PRIMARY KEY, text TEXT NOT NULL);

-- Every fact with its time and its task in words.
CREATE VIEW log AS
SELECT runs.id AS run, facts.no, strftime('%Y-%m-%d %H:%M:%f', facts.at / 1000.0, 'unixepoch') AS at, facts.kind,
       tasks.id AS task, facts.body
FROM facts JOIN runs USING (run) LEFT JOIN tasks ON tasks.place = (facts.run << 32) + facts.task
ORDER BY facts.place;

-- How each task ended, with its answer and why there is none.
CREATE VIEW results AS
WITH ends AS (
  SELECT run, task, kind, body, max(no) FROM facts WHERE kind IN ('task_ended', 'task_reopened') GROUP BY run, task
)
SELECT runs.id AS run, tasks.id AS task, json_extract(ends.body, '$.status') AS status,
       coalesce((SELECT text FROM texts WHERE hash = coalesce(json_extract(ends.body, '$.output.json.sha256'),
                                                              json_extract(ends.body, '$.output.text.sha256'))),
                json_extract(ends.body, '$.output.json'), json_extract(ends.body, '$.output.text'),
                (SELECT text FROM texts WHERE hash = json_extract(ends.body, '$.raw.sha256')),
                json_extract(ends.body, '$.raw')) AS answer,
       coalesce((SELECT text FROM texts WHERE hash = json_extract(ends.body, '$.reason.sha256')),
                json_extract(ends.body, '$.reason')) AS reason
FROM ends JOIN runs USING (run) JOIN tasks ON tasks.place = (ends.run << 32) + ends.task
WHERE ends.kind = 'task_ended'
ORDER BY tasks.place;
