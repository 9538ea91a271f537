select a.id,  B.Name
FROM accounts a
JOIN branches B on a.id=B.id
where a.x = 1 AND (b.y=2 or b.z != 3)
group by 1,2
