//! The table as a Parquet file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::sheet::{INDEX, PartialSheet, numbers};
use crate::failure::Failure;
use crate::output::write_beside;

/// Rows of a group; what is held in memory at a time.
const GROUP_ROWS: usize = 16_384;

/// Writes the columns of a finished table, `file` as text, `start` and `end` as doubles and the features
/// as floats; the table is removed.
pub(super) fn write(target: &Path, sheet: PartialSheet) -> Result<(), Failure> {
    let failed = |error: csv::Error| Failure::io("read", sheet.path(), &error.into());
    let mut reader = csv::Reader::from_path(sheet.path()).map_err(failed)?;
    let head = reader.headers().map_err(failed)?.clone();
    let schema = schema(&head).map_err(|error| Failure::io("write", target, &other(error)))?;
    write_beside(target, |out| {
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(out, schema, properties).map_err(other)?;
        let mut records = reader.records();
        loop {
            let group: Vec<csv::StringRecord> = records
                .by_ref()
                .take(GROUP_ROWS)
                .collect::<Result<_, _>>()?;
            if group.is_empty() {
                break;
            }
            let mut columns = writer.next_row_group().map_err(other)?;
            write_group(&mut columns, &group, head.len())?;
            columns.close().map_err(other)?;
        }
        writer.close().map_err(other)?;
        Ok(())
    })?;
    sheet.discard()
}

fn other(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

fn schema(head: &csv::StringRecord) -> Result<TypePtr, ParquetError> {
    let column = |(at, name): (usize, &str)| {
        let (physical, logical) = match at {
            0 => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            1 | 2 => (Physical::DOUBLE, None),
            _ => (Physical::FLOAT, None),
        };
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    let fields = head
        .iter()
        .enumerate()
        .map(column)
        .collect::<Result<_, _>>()?;
    Ok(Arc::new(
        Type::group_type_builder("features")
            .with_fields(fields)
            .build()?,
    ))
}

fn write_group<W: io::Write + Send>(
    columns: &mut SerializedRowGroupWriter<'_, W>,
    group: &[csv::StringRecord],
    n_columns: usize,
) -> io::Result<()> {
    for at in 0..n_columns {
        let Some(mut column) = columns.next_column().map_err(other)? else {
            break;
        };
        let cells = || group.iter().filter_map(|record| record.get(at));
        match at {
            0 => {
                let names: Vec<ByteArray> = cells().map(ByteArray::from).collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&names, None, None)
            }
            _ if at < INDEX.len() => {
                let times: Vec<f64> = numbers(cells())?;
                column.typed::<DoubleType>().write_batch(&times, None, None)
            }
            _ => {
                let values: Vec<f32> = numbers(cells())?;
                column.typed::<FloatType>().write_batch(&values, None, None)
            }
        }
        .map_err(other)?;
        column.close().map_err(other)?;
    }
    Ok(())
}
