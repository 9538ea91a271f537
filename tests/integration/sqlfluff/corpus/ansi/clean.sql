SELECT
    a.id,
    a.name
FROM accounts AS a
WHERE a.id > 10
