package athena

import (
	"context"
	"regexp"
	"sort"
	"strings"

	api "github.com/galen-health/galen/aws/athena"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/sql"
)

// databases are those of all services, by name.
func (s *Service) databases(ctx context.Context) ([]sql.Database, error) {
	var all []sql.Database
	for _, c := range s.cfg.Catalogs {
		d, err := c.Databases(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, d...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

// tables are those of a database, by name.
func (s *Service) tables(ctx context.Context, database string) ([]sql.Table, error) {
	for _, c := range s.cfg.Catalogs {
		t, err := c.Tables(ctx, strings.ToLower(database))
		if errs.Is(err, errs.NotFound) {
			continue
		}
		sort.Slice(t, func(i, j int) bool { return t[i].Name < t[j].Name })
		return t, err
	}
	return nil, errs.Named(errs.Invalid, "MetadataException", "Database %.200s not found", database)
}

// table is one with its files.
func (s *Service) table(ctx context.Context, database, name string) (*sql.Table, error) {
	for _, c := range s.cfg.Catalogs {
		t, err := c.Table(ctx, strings.ToLower(database), strings.ToLower(name))
		if !errs.Is(err, errs.NotFound) {
			return t, err
		}
	}
	return nil, errs.New(errs.Invalid, "TABLE_NOT_FOUND: Table '%s.%.100s.%.100s' does not exist", strings.ToLower(catalogName), database, name)
}

// slice is one page of things that fit in memory, by their names.
func slice[T any](s *Service, of string, all []T, name func(T) string, token string, limit *int32) ([]T, string, error) {
	after, err := s.cursor(of, token)
	if err != nil {
		return nil, "", err
	}
	from := sort.Search(len(all), func(i int) bool { return name(all[i]) > after })
	if after == "" {
		from = 0
	}
	n := 50
	if limit != nil {
		n = int(*limit)
	}
	to := min(from+max(n, 1), len(all))
	next := ""
	if to < len(all) {
		next = s.pages.Token(of, name(all[to-1]))
	}
	return all[from:to], next, nil
}

// ListDatabases lists the databases of the catalog.
func (s *Service) ListDatabases(ctx context.Context, in *api.ListDatabasesInput) (*api.ListDatabasesOutput, error) {
	if err := catalog(in.CatalogName); err != nil {
		return nil, err
	}
	all, err := s.databases(ctx)
	if err != nil {
		return nil, err
	}
	page, next, err := slice(s, "ListDatabases", all, func(d sql.Database) string { return d.Name }, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListDatabasesOutput{DatabaseList: []api.Database{}, NextToken: next}
	for _, d := range page {
		out.DatabaseList = append(out.DatabaseList, api.Database{Name: d.Name, Description: d.Description})
	}
	return out, nil
}

// GetDatabase tells what is known of a database.
func (s *Service) GetDatabase(ctx context.Context, in *api.GetDatabaseInput) (*api.GetDatabaseOutput, error) {
	if err := catalog(in.CatalogName); err != nil {
		return nil, err
	}
	all, err := s.databases(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if strings.EqualFold(d.Name, in.DatabaseName) {
			return &api.GetDatabaseOutput{Database: &api.Database{Name: d.Name, Description: d.Description}}, nil
		}
	}
	return nil, errs.Named(errs.Invalid, "MetadataException", "Database %.200s not found", in.DatabaseName)
}

func metadata(t *sql.Table) api.TableMetadata {
	m := api.TableMetadata{Name: t.Name, CreateTime: t.Created, TableType: "EXTERNAL_TABLE", Parameters: map[string]string{"EXTERNAL": "TRUE", "classification": "parquet"}, PartitionKeys: []api.Column{}}
	if t.Description != "" {
		m.Parameters["comment"] = t.Description
	}
	for _, c := range t.Columns {
		m.Columns = append(m.Columns, api.Column{Name: c.Name, Type: c.Type, Comment: c.Comment})
	}
	return m
}

// ListTableMetadata lists the tables of a database whose names match the expression.
func (s *Service) ListTableMetadata(ctx context.Context, in *api.ListTableMetadataInput) (*api.ListTableMetadataOutput, error) {
	if err := catalog(in.CatalogName); err != nil {
		return nil, err
	}
	all, err := s.tables(ctx, in.DatabaseName)
	if err != nil {
		return nil, err
	}
	if in.Expression != "" {
		like, err := regexp.Compile("^(?:" + in.Expression + ")$")
		if err != nil {
			return nil, errs.Named(errs.Invalid, "InvalidRequestException", "Expression is no regular expression")
		}
		var kept []sql.Table
		for _, t := range all {
			if like.MatchString(t.Name) {
				kept = append(kept, t)
			}
		}
		all = kept
	}
	page, next, err := slice(s, "ListTableMetadata/"+in.DatabaseName+"/"+in.Expression, all, func(t sql.Table) string { return t.Name }, in.NextToken, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListTableMetadataOutput{TableMetadataList: []api.TableMetadata{}, NextToken: next}
	for i := range page {
		out.TableMetadataList = append(out.TableMetadataList, metadata(&page[i]))
	}
	return out, nil
}

// GetTableMetadata tells the columns of a table.
func (s *Service) GetTableMetadata(ctx context.Context, in *api.GetTableMetadataInput) (*api.GetTableMetadataOutput, error) {
	if err := catalog(in.CatalogName); err != nil {
		return nil, err
	}
	all, err := s.tables(ctx, in.DatabaseName)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if strings.EqualFold(all[i].Name, in.TableName) {
			m := metadata(&all[i])
			return &api.GetTableMetadataOutput{TableMetadata: &m}, nil
		}
	}
	return nil, errs.Named(errs.Invalid, "MetadataException", "Table %.200s not found", in.TableName)
}

// ListDataCatalogs lists the one catalog.
func (s *Service) ListDataCatalogs(context.Context, *api.ListDataCatalogsInput) (*api.ListDataCatalogsOutput, error) {
	return &api.ListDataCatalogsOutput{DataCatalogsSummary: []api.DataCatalogSummary{{CatalogName: catalogName, Type: api.DataCatalogTypeGlue}}}, nil
}

// GetDataCatalog tells what is known of the one catalog.
func (s *Service) GetDataCatalog(_ context.Context, in *api.GetDataCatalogInput) (*api.GetDataCatalogOutput, error) {
	if err := catalog(in.Name); err != nil {
		return nil, err
	}
	return &api.GetDataCatalogOutput{DataCatalog: &api.DataCatalog{Name: catalogName, Type: api.DataCatalogTypeGlue, Description: "tables that the services of this server publish"}}, nil
}

var engineVersion = api.EngineVersion{SelectedEngineVersion: "AUTO", EffectiveEngineVersion: "Athena engine version 3"}

// GetWorkGroup tells what is known of the one workgroup.
func (s *Service) GetWorkGroup(_ context.Context, in *api.GetWorkGroupInput) (*api.GetWorkGroupOutput, error) {
	if err := workGroup(in.WorkGroup); err != nil {
		return nil, err
	}
	no := false
	v := engineVersion
	return &api.GetWorkGroupOutput{WorkGroup: &api.WorkGroup{Name: primary, State: api.WorkGroupStateEnabled, Configuration: &api.WorkGroupConfiguration{ResultConfiguration: &api.ResultConfiguration{},
		EnforceWorkGroupConfiguration: &no, PublishCloudWatchMetricsEnabled: &no, RequesterPaysEnabled: &no, EngineVersion: &v}}}, nil
}

// ListWorkGroups lists the one workgroup.
func (s *Service) ListWorkGroups(context.Context, *api.ListWorkGroupsInput) (*api.ListWorkGroupsOutput, error) {
	v := engineVersion
	return &api.ListWorkGroupsOutput{WorkGroups: []api.WorkGroupSummary{{Name: primary, State: api.WorkGroupStateEnabled, EngineVersion: &v}}}, nil
}
