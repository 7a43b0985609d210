-- One row per day and step; a later run replaces what an earlier one wrote.
INSERT INTO web.funnel
SELECT happened_at::date AS day, step, count(DISTINCT visitor) AS visitors, sum(amount) AS amount, now() AS exported_at
FROM web.events
GROUP BY ALL;
