PRAGMA application_id = 1346458186;
PRAGMA user_version = 2;
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
CREATE TABLE tasks (
  place INTEGER PRIMARY KEY,         -- run * 2^32 + task: SQLite adds rows behind the last one most quickly so
  run INTEGER GENERATED ALWAYS AS (place >> 32),
  task INTEGER GENERATED ALWAYS AS (place & 0xffffffff),  -- from 0 on
  id TEXT NOT NULL,
  agent_type TEXT NOT NULL,
  body TEXT NOT NULL                 -- JSON
);
CREATE TABLE facts (
  place INTEGER PRIMARY KEY,         -- run * 2^32 + no
  run INTEGER GENERATED ALWAYS AS (place >> 32),
  no INTEGER GENERATED ALWAYS AS (place & 0xffffffff),    -- from 1 on, without gaps
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  task INTEGER,
  body TEXT NOT NULL                 -- JSON
);
CREATE TABLE texts (hash TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE VIEW log AS
SELECT runs.id AS run, facts.no, strftime('%Y-%m-%d %H:%M:%f', facts.at / 1000.0, 'unixepoch') AS at, facts.kind,
       tasks.id AS task, facts.body
FROM facts JOIN runs USING (run) LEFT JOIN tasks ON tasks.place = (facts.run << 32) + facts.task
ORDER BY facts.place;
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
INSERT INTO runs (run, id, started, runtime, tasks, options, stops, stop_reason) VALUES (1, 'golden', 1000, 'rehearsal', 6, '{"max_concurrent":7,"rehearsal":{"seed":3,"speed":0.1}}', 0, NULL);
INSERT INTO tasks (place, id, agent_type, body) VALUES (4294967296, 'one', 'code_reviewer', '{"instructions":{"sha256":"388c0f577236857b64d88c712a993e08df46285a7709bb09c66db2c1de1614e6"},"brief":"Look at one, \"quoted\" \u0000 and 🦀","contract":"Answer as you were asked.","timeout":{"secs":1,"nanos":500000000},"format":"json","schema":"{\"type\":\"object\",\"required\":[\"b\",\"a\"],\"x\":0.1}","priority":5,"models":[{"model":"a/cheap"},{"model":"b/dear","price":{"input":0.1,"output":0.3333333333333333,"cache_read":0.0,"cache_write":1e-300}}]}');
INSERT INTO tasks (place, id, agent_type, body) VALUES (4294967297, 'two', 'code_reviewer', '{"instructions":{"sha256":"388c0f577236857b64d88c712a993e08df46285a7709bb09c66db2c1de1614e6"},"brief":"Look at two, \"quoted\" \u0000 and 🦀","contract":"Answer as you were asked.","timeout":{"secs":1,"nanos":500000000},"format":"markdown","priority":-3,"dependencies":["one"],"models":[{"model":"a/cheap"},{"model":"b/dear","price":{"input":0.1,"output":0.3333333333333333,"cache_read":0.0,"cache_write":1e-300}}]}');
INSERT INTO tasks (place, id, agent_type, body) VALUES (4294967298, 'three', 'code_reviewer', '{"instructions":{"sha256":"388c0f577236857b64d88c712a993e08df46285a7709bb09c66db2c1de1614e6"},"brief":"Look at three, \"quoted\" \u0000 and 🦀","contract":"Answer as you were asked.","timeout":{"secs":1,"nanos":500000000},"deadline":{"secs":3600,"nanos":1},"format":"code","priority":5,"models":[{"model":"a/cheap"},{"model":"b/dear","price":{"input":0.1,"output":0.3333333333333333,"cache_read":0.0,"cache_write":1e-300}}]}');
INSERT INTO tasks (place, id, agent_type, body) VALUES (4294967299, 'four', 'code_reviewer', '{"instructions":{"sha256":"388c0f577236857b64d88c712a993e08df46285a7709bb09c66db2c1de1614e6"},"brief":"Look at four, \"quoted\" \u0000 and 🦀","contract":"Answer as you were asked.","timeout":{"secs":1,"nanos":500000000},"format":"text","priority":5,"dependencies":["one","three"],"models":[{"model":"anthropic/claude-haiku-4-5"},{"model":"kimi-coding/k2p5"},{"model":"anthropic/claude-opus-4-5"}]}');
INSERT INTO tasks (place, id, agent_type, body) VALUES (4294967300, 'one/review-1', 'code_reviewer', '{"instructions":{"sha256":"388c0f577236857b64d88c712a993e08df46285a7709bb09c66db2c1de1614e6"},"brief":"Look at three, \"quoted\" \u0000 and 🦀","contract":"Answer as you were asked.","timeout":{"secs":1,"nanos":500000000},"deadline":{"secs":3600,"nanos":1},"format":"code","priority":5,"dependencies":["one"],"models":[{"model":"a/cheap"},{"model":"b/dear","price":{"input":0.1,"output":0.3333333333333333,"cache_read":0.0,"cache_write":1e-300}}]}');
INSERT INTO tasks (place, id, agent_type, body) VALUES (4294967301, 'one/refine-2', 'code_reviewer', '{"instructions":{"sha256":"388c0f577236857b64d88c712a993e08df46285a7709bb09c66db2c1de1614e6"},"brief":"Look at one, \"quoted\" \u0000 and 🦀","contract":"Answer as you were asked.","timeout":{"secs":1,"nanos":500000000},"format":"json","schema":"{\"type\":\"object\",\"required\":[\"b\",\"a\"],\"x\":0.1}","priority":5,"dependencies":["one/review-1","one"],"models":[{"model":"a/cheap"},{"model":"b/dear","price":{"input":0.1,"output":0.3333333333333333,"cache_read":0.0,"cache_write":1e-300}}]}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967297, 2000, 'run_started', NULL, '{"tasks":4}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967298, 3000, 'runtime_met', NULL, '{"boot":"boot-1"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967299, 4000, 'attempt_planned', 0, '{"start":1,"attempt":1,"tier":0,"model":"a/cheap","key":"5c1a4b5e-0000-4000-8000-000000000001","usd":0.30000000000000004,"tokens":20000}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967300, 5000, 'attempt_planned', 2, '{"start":4,"attempt":2,"tier":1,"model":"b/dear","key":"5c1a4b5e-0000-4000-8000-000000000002"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967301, 6000, 'attempt_accepted', 0, '{"start":1,"session":"agent:main:subagent:1","run_id":"run-1"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967302, 7000, 'attempt_started', 0, '{"start":1,"since":1234}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967303, 8000, 'attempt_refused', 2, '{"start":4,"reason":"no room","limit":3,"until":18446744073709551615}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967304, 9000, 'attempt_ended', 0, '{"start":1,"outcome":"completed","model":"a/cheap-2","tokens":{"input":1,"output":2,"cache_read":3,"cache_write":4,"total":10},"usd":0.0001234567890123,"truncated":true,"answer":{"sha256":"14d6eea29b2502a28d595c97e91bfbd77497313ee2532170396d9861965fd408"}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967305, 10000, 'attempt_ended', 0, '{"start":1,"outcome":"needs_input","reason":"Which one?","answer":"STUCK: Which one?"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967306, 11000, 'attempt_ended', 0, '{"start":1,"outcome":"cancelled"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967307, 12000, 'retry_planned', 1, '{"reason":{"sha256":"14d6eea29b2502a28d595c97e91bfbd77497313ee2532170396d9861965fd408"},"tier":1,"model":"b/dear","delay":{"secs":1,"nanos":500000001}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967308, 13000, 'limit_raised', NULL, '{"limit":4}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967309, 14000, 'task_ended', 0, '{"status":"completed","raw":"```json\n{\"b\": ...}\n```","output":{"json":"{\"b\":[1,-2,0.1,1e+300,null,true],\"a\":\"x\"}"}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967310, 15000, 'task_ended', 0, '{"status":"completed","raw":"  {\"b\":1.0,\"a\":2}\n","output":"raw_json"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967311, 16000, 'task_ended', 0, '{"status":"completed","raw":"null","output":"raw_json"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967312, 17000, 'task_ended', 0, '{"status":"completed","raw":"\"text\"","output":{"text":"text"}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967313, 18000, 'task_ended', 0, '{"status":"completed","raw":"\n plain ","output":"raw_text"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967314, 19000, 'task_ended', 0, '{"status":"completed","raw":"```\ninner\n```","output":{"text":"inner"}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967315, 20000, 'task_ended', 0, '{"status":"completed","raw":{"sha256":"14d6eea29b2502a28d595c97e91bfbd77497313ee2532170396d9861965fd408"},"output":{"text":{"sha256":"14d6eea29b2502a28d595c97e91bfbd77497313ee2532170396d9861965fd408"}}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967316, 21000, 'task_ended', 0, '{"status":"completed","raw":{"sha256":"7488cd24f3a7b717fa598a6b9c732306d0a9db8a1a40578047b3c5bcdd151659"},"output":"raw_json"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967317, 22000, 'task_ended', 0, '{"status":"completed","raw":{"sha256":"5211bc935b316b7f6ae59ae5ebca62c965de2e375d314efd3418743f5f165f42"},"output":{"json":{"sha256":"7488cd24f3a7b717fa598a6b9c732306d0a9db8a1a40578047b3c5bcdd151659"}}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967318, 23000, 'task_ended', 0, '{"status":"failed","reason":"no"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967319, 24000, 'task_ended', 0, '{"status":"failed","reason":{"sha256":"14d6eea29b2502a28d595c97e91bfbd77497313ee2532170396d9861965fd408"},"raw":{"sha256":"14d6eea29b2502a28d595c97e91bfbd77497313ee2532170396d9861965fd408"}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967320, 25000, 'task_ended', 0, '{"status":"timeout","reason":"late","raw":"half"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967321, 26000, 'task_ended', 0, '{"status":"needs_input","reason":"Which?","raw":"STUCK: Which?"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967322, 27000, 'task_ended', 0, '{"status":"cancelled","reason":"enough"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967323, 28000, 'task_ended', 0, '{"status":"skipped","reason":"`one` failed","because_of":"one"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967324, 29000, 'breaker_opened', NULL, '{"model":"a/cheap","until":9000}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967325, 30000, 'breaker_opened', NULL, '{"agent_type":"code_reviewer","failure":"server_error"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967326, 31000, 'task_reopened', 3, '{"was":"failed"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967327, 32000, 'run_resumed', NULL, '{"idle":{"secs":60,"nanos":0}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967328, 33000, 'starts_stopped', NULL, '{"reason":"the gateway shuts down"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967329, 34000, 'session_deleted', 2, '{"start":4}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967330, 35000, 'session_left', 2, '{"start":4,"session":"agent:main:subagent:1","run_id":"run-1","reason":"`cleanup` is `keep`"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967331, 36000, 'attempt_stopping', 0, '{"start":1,"why":"idle"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967332, 37000, 'attempt_stopping', 0, '{"start":1,"why":"timeout"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967333, 38000, 'attempt_stopping', 0, '{"start":1,"why":"task_deadline"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967334, 39000, 'attempt_stopping', 0, '{"start":1,"why":"run_deadline"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967335, 40000, 'attempt_stopping', 0, '{"start":1,"why":"cancel"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967336, 41000, 'cancelled', NULL, '{"why":"idle","reason":"in words"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967337, 42000, 'cancelled', NULL, '{"why":"timeout","reason":"in words"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967338, 43000, 'cancelled', NULL, '{"why":"task_deadline","reason":"in words"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967339, 44000, 'cancelled', NULL, '{"why":"run_deadline","reason":"in words"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967340, 45000, 'cancelled', NULL, '{"why":"cancel","reason":"in words"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967341, 46000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"busy","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967342, 47000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"transient","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967343, 48000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"server_error","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967344, 49000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"model","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967345, 50000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"timeout","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967346, 51000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"output","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967347, 52000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"truncated","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967348, 53000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"permanent","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967349, 54000, 'attempt_ended', 0, '{"start":1,"outcome":"failed","failure":"stopped","reason":"it broke","answer":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967350, 55000, 'budget_reached', 1, '{"cap":"usd","usd":1e-9,"tokens":12}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967351, 56000, 'budget_reached', 1, '{"cap":"tokens","usd":1e-9,"tokens":12}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967352, 57000, 'budget_reached', 1, '{"cap":"attempts","usd":1e-9,"tokens":12}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967353, 58000, 'budget_reached', 1, '{"cap":"time","usd":1e-9,"tokens":12}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967354, 59000, 'budget_reached', 1, '{"cap":"price","usd":1e-9,"tokens":12}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967355, 60000, 'task_reopened', 3, '{"was":"completed","answer":"The first one."}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967356, 61000, 'task_reopened', 3, '{"was":"failed","answer":"The first one."}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967357, 62000, 'task_reopened', 3, '{"was":"timeout","answer":"The first one."}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967358, 63000, 'task_reopened', 3, '{"was":"needs_input","answer":"The first one."}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967359, 64000, 'task_reopened', 3, '{"was":"cancelled","answer":"The first one."}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967360, 65000, 'task_reopened', 3, '{"was":"skipped","answer":"The first one."}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967361, 66000, 'attempt_stopping', 0, '{"start":1,"why":"unneeded"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967362, 67000, 'tasks_added', NULL, '{"first":4,"count":2}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967363, 68000, 'task_ended', 5, '{"status":"failed","reason":"no"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967364, 69000, 'tasks_added', NULL, '{"first":6,"count":0}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967365, 70000, 'approval_asked', NULL, '{"subject":"{\"plan\":[1,0.1,null],\"why\":\"`x`\"}"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967366, 71000, 'approval_asked', NULL, '{"subject":{"sha256":"b1c593ddce647497d0edb35c7b6504a4c0770e9a783936ca5755c55234fe436e"}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967367, 72000, 'word_given', NULL, '{"word":"approval","approved":true,"reason":""}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967368, 73000, 'word_given', NULL, '{"word":"approval","approved":false,"reason":{"sha256":"467c1b84d0f707b9f1600ae04c6df7de1eacc9722544d3a547027d0923987a4d"}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967369, 74000, 'word_given', NULL, '{"word":"budget"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967370, 75000, 'word_given', NULL, '{"word":"budget","reason":"too dear"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967371, 76000, 'word_given', NULL, '{"word":"mark","task_id":"one/review-1","mark":"8.5"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967372, 77000, 'word_given', NULL, '{"word":"mark","task_id":"one","mark":{"sha256":"0abde0b82114bb8b520b2d6c6defc7e6116f2dd3fbc27e751ee3fafff27ea637"}}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967373, 78000, 'word_given', NULL, '{"word":"mark","task_id":"one","mark":"null"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967374, 79000, 'outcome_reached', NULL, '{"outcome":"{\"score\":8.5,\"best\":\"one\"}"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967375, 80000, 'outcome_reached', NULL, '{"outcome":"null"}');
INSERT INTO facts (place, at, kind, task, body) VALUES (4294967376, 81000, 'run_ended', NULL, '{}');
INSERT INTO texts (hash, text) VALUES ('0abde0b82114bb8b520b2d6c6defc7e6116f2dd3fbc27e751ee3fafff27ea637', '{"b":["A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. "],"a":null}');
INSERT INTO texts (hash, text) VALUES ('14d6eea29b2502a28d595c97e91bfbd77497313ee2532170396d9861965fd408', 'A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. ');
INSERT INTO texts (hash, text) VALUES ('388c0f577236857b64d88c712a993e08df46285a7709bb09c66db2c1de1614e6', 'You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. You review code. ');
INSERT INTO texts (hash, text) VALUES ('467c1b84d0f707b9f1600ae04c6df7de1eacc9722544d3a547027d0923987a4d', 'A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. ');
INSERT INTO texts (hash, text) VALUES ('5211bc935b316b7f6ae59ae5ebca62c965de2e375d314efd3418743f5f165f42', 'Here: {"long":"A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. "}');
INSERT INTO texts (hash, text) VALUES ('7488cd24f3a7b717fa598a6b9c732306d0a9db8a1a40578047b3c5bcdd151659', '{"long":"A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. A long answer. "}');
INSERT INTO texts (hash, text) VALUES ('b1c593ddce647497d0edb35c7b6504a4c0770e9a783936ca5755c55234fe436e', '"A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. A long subject. "');
