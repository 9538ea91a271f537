SELECT '😀' as  a, b  from t -- 😀😀
