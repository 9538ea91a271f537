SELECT TOP 5 [a b], c = 1 FROM dbo.t WITH (NOLOCK)
GO
EXEC sp_help
GO
