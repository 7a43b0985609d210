WITH RECURSIVE family AS (
    SELECT account_id, name AS company FROM crm.accounts WHERE parent_id IS NULL
    UNION ALL
    SELECT a.account_id, f.company FROM crm.accounts a JOIN family f ON a.parent_id = f.account_id
)
SELECT company, count(DISTINCT account_id) AS accounts, sum(amount) FILTER (stage = 'won') AS won
FROM family LEFT JOIN crm.opportunities USING (account_id)
GROUP BY company ORDER BY company
