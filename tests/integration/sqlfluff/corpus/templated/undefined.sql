SELECT {{ nowhere }}  FROM {{ schema }}.t -- noqa: TMP
