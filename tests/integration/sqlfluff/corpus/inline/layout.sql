SELECT
    a,
    b
FROM c
-- sqlfluff:layout:type:comma:line_position:leading
-- sqlfluff:indentation:tab_space_size:2
