SELECT
    customer_id,
<<<<<<< HEAD
    full_name
=======
    full_name || ' <' || email || '>' AS full_name
>>>>>>> feature/mail-labels
FROM customers
WHERE marketing_consent AND (country_code = 'DE' OR country_code = 'AT';
