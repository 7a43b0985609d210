-- Of those who paid at some time in a month: how many ended, and on which plan?
WITH paid AS (
    SELECT subscription_id, plan, month
    FROM billing.subscriptions__history,
         generate_series(timestamptz '2024-01-01 00:00:00+00', timestamptz '2024-03-01 00:00:00+00', interval 1 month) AS m(month)
    WHERE status = 'active' AND _valid_from < month + interval 1 month AND coalesce(_valid_to, 'infinity') > month
), ended AS (
    SELECT subscription_id, lag(plan) OVER changes AS plan, date_trunc('month', _valid_from) AS month,
           status = 'cancelled' AND lag(status) OVER changes = 'active' AS ends
    FROM billing.subscriptions__history
    WINDOW changes AS (PARTITION BY subscription_id ORDER BY _valid_from)
)
SELECT strftime(p.month, '%Y-%m') AS month, p.plan, count(DISTINCT p.subscription_id) AS paid,
       count(DISTINCT e.subscription_id) AS ended
FROM paid p LEFT JOIN ended e ON e.subscription_id = p.subscription_id AND e.month = p.month AND e.plan = p.plan AND e.ends
GROUP BY ALL ORDER BY ALL
